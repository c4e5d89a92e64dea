"""Jensen-Shannon divergence of two close models: fused against whole logits and the textbook.

The textbook forms both logits and sums ``p log(p / m) / 2 + q log(q / m) / 2`` in fp32. Times, peak
memory beyond the inputs, and the largest error relative to fp64 at divergences near 1e-1, 1e-3 and
1e-5. On a GPU where there is one, else on one thread, each method in a process of its own.

    python benchmarks/divergence.py

Writes benchmarks/results/divergence-<device>.json, or what --out names.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from measuring import DTYPES, forked, timings, write  # beside this file; finds the package
from tamis.kernels.divergence import jensen_shannon
from tamis.kernels.token_stats import LMHead
from torch import Tensor

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
    backend = "triton" if pair.hidden.is_cuda else "torch"
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
    row = timings(lambda: method(pairs["1e-5"]), device, said.repeats)
    row["relative_error"] = {}
    for level, pair in pairs.items():
        expected = exact(pair)
        error = (method(pair)[: len(expected)] - expected).abs() / expected
        row["relative_error"][level] = {
            "largest": error.max().item(),
            "median_divergence": expected.median().item(),
        }
    print(f"  {name:24s} {row} ({device})")
    return {"method": name} | row


def main() -> None:
    """Measure, print and write."""
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description="Divergence against whole logits.")
    parser.add_argument("--tokens", type=int, default=8192 if gpu else 256)
    parser.add_argument("--dim", type=int, default=896 if gpu else 768)
    parser.add_argument("--vocab", type=int, default=151936 if gpu else 50257)
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--repeats", type=int, default=20 if gpu else 5)
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    device = "cuda" if gpu else "cpu"
    torch.set_num_threads(torch.get_num_threads() if gpu else 1)  # threads do not outlive a fork
    with torch.inference_mode():
        pairs = {level: Pair.make(said, far, device) for level, far in CLOSENESS.items()}
        rows = [forked(lambda m=m: measure(m, pairs, said), device) for m in METHODS]
    shape = {name: getattr(said, name) for name in ("tokens", "dim", "vocab", "dtype", "repeats")}
    write("divergence", device, said.out, {"shape": shape, "rows": rows})


if __name__ == "__main__":
    main()
