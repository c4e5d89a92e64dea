"""Jensen-Shannon divergence of two close models: fused against whole logits and the textbook.

The textbook forms both logits and sums ``p log(p / m) / 2 + q log(q / m) / 2`` in fp32. Times, peak
memory beyond the inputs, and the largest error relative to fp64 at divergences near 1e-1, 1e-3 and
1e-5. On a GPU where there is one, else on one thread, each method in a process of its own.

    python benchmarks/divergence.py

Writes benchmarks/results/divergence-<device>.json, or what --out names.
"""

import argparse
import sys
import types
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

if "tamis" not in sys.modules:  # works without an installation: the kernels need torch alone
    package = types.ModuleType("tamis")
    package.__path__ = [str(Path(__file__).resolve().parent.parent)]
    sys.modules["tamis"] = package

from tamis.benchmarks.measuring import (
    DTYPES,
    apart,
    device_here,
    timings,
    write,
)
from tamis.kernels.backend import choose
from tamis.kernels.divergence import jensen_shannon
from tamis.kernels.logits import LMHead

CLOSENESS = {"1e-1": 0.48, "1e-3": 0.045, "1e-5": 0.0045}  # divergence: relative noise of a weight
CHECKED = 64  # tokens compared with fp64


@dataclass(frozen=True)
class Pair:
    """Hidden states (tokens, dim) of both models, and two weights (vocab, dim)."""

    hidden: Tensor
    first: Tensor
    second: Tensor

    @classmethod
    def make(cls, said: argparse.Namespace, noise: float, device: str) -> "Pair":
        """Random models whose logits have standard deviation 2, apart by `noise` of that."""
        generator = torch.Generator(device).manual_seed(0)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, device=device)

        first = normal(said.vocab, said.dim) / said.dim**0.5
        second = first + normal(said.vocab, said.dim) * (noise / said.dim**0.5)
        kind = DTYPES[said.dtype]
        hidden = 2 * normal(said.tokens, said.dim)
        return cls(hidden.to(kind), first.to(kind), second.to(kind))


def fused(pair: Pair) -> Tensor:
    """Ours."""
    heads = LMHead(pair.first), LMHead(pair.second)
    backend = choose("auto", str(pair.hidden.device))
    return jensen_shannon(pair.hidden, heads[0], pair.hidden, heads[1], backend=backend)


def textbook(pair: Pair) -> Tensor:
    """From the definition, in fp32."""
    return definition(*((pair.hidden @ w.T).float() for w in (pair.first, pair.second)))


def definition(z_p: Tensor, z_q: Tensor) -> Tensor:
    """(tokens,) divergences of logits, in their dtype."""
    p, q = z_p.softmax(-1), z_q.softmax(-1)
    middle = (p + q) / 2
    return ((p * (p / middle).log()).sum(1) + (q * (q / middle).log()).sum(1)) / 2


METHODS = {"tamis": fused, "whole logits, textbook": textbook}


def exact(pair: Pair) -> Tensor:
    """The definition in fp64, of the first tokens."""
    hidden = pair.hidden[:CHECKED].double()
    return definition(hidden @ pair.first.double().T, hidden @ pair.second.double().T)


def measure(name: str, pairs: dict[str, Pair], said: argparse.Namespace) -> dict[str, Any]:
    """Time a method on the closest models, and compare it with fp64 on all."""
    device = pairs["1e-5"].hidden.device.type
    method = METHODS[name]
    row, _ = timings(lambda: method(pairs["1e-5"]), device, said.repeats)
    errors: dict[str, Any] = {}
    for level, pair in pairs.items():
        expected = exact(pair)
        error = (method(pair)[: len(expected)] - expected).abs() / expected
        errors[level] = {
            "largest": error.max().item(),
            "median_divergence": expected.median().item(),
        }
    return row | {"relative_error": errors}


def main() -> None:
    """Measure, print and write."""
    device = device_here()
    gpu = device == "cuda"
    parser = argparse.ArgumentParser(description="Divergence against whole logits.")
    parser.add_argument("--tokens", type=int, default=8192 if gpu else 256)
    parser.add_argument("--dim", type=int, default=896 if gpu else 768)
    parser.add_argument("--vocab", type=int, default=151936 if gpu else 50257)
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--repeats", type=int, default=20 if gpu else 5)
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    with torch.inference_mode():
        pairs = {level: Pair.make(said, far, device) for level, far in CLOSENESS.items()}
        rows = [apart(m, partial(measure, m, pairs, said), device) for m in METHODS]
    for row in rows:
        print(f"  {row}")
    shape = {name: getattr(said, name) for name in ("tokens", "dim", "vocab", "dtype", "repeats")}
    write(f"divergence-{device}", said.out, {"shape": shape, "rows": rows})


if __name__ == "__main__":
    main()
