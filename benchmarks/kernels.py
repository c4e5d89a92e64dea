"""Loss and statistics per token from hidden states: ours against whole and chunked logits.

At the shapes of four language models: time, memory beyond the inputs, share of the rate of
a bare matrix product in the same run, and the largest error of the loss against fp64. On a GPU
where there is one, else on one thread of the processor, each method in a process of its own. Needs
torch, and triton and numpy where there is a GPU; `cut-cross-entropy` and `liger-kernel` take part
where they are installed.

    python benchmarks/kernels.py                        # bf16
    python benchmarks/kernels.py --dtype fp32 --tokens 256 --shapes gpt2
    python benchmarks/kernels.py --tiles                # on a GPU: every tile

Writes benchmarks/results/kernels-<device>-<dtype>.json, or what --out names.
"""

import argparse
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

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
from tamis.kernels.logits import LMHead, Precision
from tamis.kernels.token_stats import STATS, token_stats

SHAPES = {  # (dim, vocab)
    "gpt2": (768, 50257),
    "qwen2.5-0.5b": (896, 151936),
    "gemma-2-2b": (2304, 256000),
    "llama-3-8b": (4096, 128256),
}
CHUNK = 128  # tokens, on a processor; on a GPU eight times as many
CHECKED = 32  # tokens whose loss is compared with fp64


@dataclass(frozen=True)
class Problem:
    """Inputs of one shape: hidden (tokens, dim), weight (vocab, dim), targets (tokens,)."""

    hidden: Tensor
    weight: Tensor
    targets: Tensor

    @classmethod
    def make(cls, shape: str, tokens: int, dtype: str, device: str) -> "Problem":
        """Random inputs with losses like those of a trained model: some small, some large."""
        dim, vocab = SHAPES[shape]
        generator = torch.Generator(device).manual_seed(0)
        kind = DTYPES[dtype]
        weight = torch.empty(vocab, dim, dtype=kind, device=device)
        for rows in pieces(weight, 16384):
            rows.copy_(torch.randn(rows.shape, generator=generator, device=device) / dim**0.5)
        targets = torch.randint(vocab, (tokens,), generator=generator, device=device)
        noise = torch.randn(tokens, dim, generator=generator, device=device)
        pull = torch.linspace(0, 20, tokens, device=device)[:, None]
        return cls((2 * noise + pull * weight[targets].float()).to(kind), weight, targets)

    @property
    def flop(self) -> float:
        """Of the product alone."""
        return 2.0 * self.hidden.shape[0] * self.weight.shape[0] * self.weight.shape[1]


Method = Callable[[Problem], Tensor | None]


def pieces(tensor: Tensor, n: int) -> list[Tensor]:
    """Views of `n` rows each, but the last."""
    return [tensor[first : first + n] for first in range(0, len(tensor), n)]


def product(p: Problem) -> None:
    """The bare product in pieces that fit, results thrown away."""
    rows = 8 * CHUNK if p.hidden.is_cuda else 512
    for hidden in pieces(p.hidden, rows):
        for weight in pieces(p.weight, 1 << 15 if p.hidden.is_cuda else 8192):
            torch.mm(hidden, weight.T)


def whole_logits(p: Problem) -> Tensor:
    """Logits in fp32, then cross-entropy."""
    return functional.cross_entropy((p.hidden @ p.weight.T).float(), p.targets, reduction="none")


def chunked_logits(p: Problem) -> Tensor:
    """The same in pieces of tokens."""
    n = 8 * CHUNK if p.hidden.is_cuda else CHUNK
    pairs = zip(pieces(p.hidden, n), pieces(p.targets, n), strict=True)
    return torch.cat(
        [functional.cross_entropy((h @ p.weight.T).float(), t, reduction="none") for h, t in pairs]
    )


def ours(p: Problem, stats: Sequence[str] = ("loss",), precision: Precision = "exact") -> Tensor:
    """Tamis: Triton on a GPU, else torch."""
    backend = choose("auto", str(p.hidden.device))
    return token_stats(p.hidden, LMHead(p.weight), p.targets, stats, backend, precision)["loss"]


def torch_linear(p: Problem) -> Tensor:
    """torch.nn.functional.linear_cross_entropy, of torch 2.13 and later."""
    fused: Callable[..., Tensor] = functional.linear_cross_entropy
    return fused(p.hidden, p.weight, p.targets, reduction="none").float()


def methods(device: str) -> dict[str, Method]:
    """Return what there is to compare."""
    found: dict[str, Method] = {
        "matrix product alone": product,
        "tamis, loss": ours,
        "tamis, all statistics": lambda p: ours(p, STATS),
        "tamis, loss, fast": lambda p: ours(p, precision="fast"),
        "whole logits": whole_logits,
        "chunked logits": chunked_logits,
    }
    if hasattr(functional, "linear_cross_entropy"):
        found["torch linear_cross_entropy"] = torch_linear
    if device == "cuda":
        found |= peers()
    return found


def peers() -> dict[str, Method]:
    """Return other people's kernels that are installed here."""
    found: dict[str, Method] = {}
    try:
        from cut_cross_entropy import (  # type: ignore[import-not-found]
            linear_cross_entropy,
        )

        found["cut-cross-entropy"] = lambda p: linear_cross_entropy(
            p.hidden, p.weight, p.targets, reduction="none"
        ).float()
    except ImportError:
        print("cut-cross-entropy is not installed: left out")
    try:
        from liger_kernel.transformers.functional import (  # type: ignore[import-not-found]
            liger_fused_linear_cross_entropy,
        )

        found["liger-kernel"] = lambda p: liger_fused_linear_cross_entropy(
            p.hidden, p.weight, p.targets, reduction="none"
        ).float()
    except ImportError:
        print("liger-kernel is not installed: left out")
    return found


def measure(name: str, problem: Problem, exact: Tensor, repeats: int) -> dict[str, Any]:
    """Time a method, and compare its losses with the exact ones."""
    device = problem.hidden.device.type
    method = methods(device)[name]
    row, found = timings(lambda: method(problem), device, repeats)
    row["gflop_per_s"] = round(problem.flop / row["ms"] / 1e6, 1)
    if found is not None:
        row["loss_error"] = (found[: len(exact)].double() - exact).abs().max().item()
    return row


def exact_losses(p: Problem) -> Tensor:
    """Losses of the first tokens in fp64."""
    hidden, targets = p.hidden[:CHECKED].double(), p.targets[:CHECKED]
    z = torch.cat([hidden @ weight.double().T for weight in pieces(p.weight, 8192)], 1)
    return functional.cross_entropy(z, targets, reduction="none")


def run_shape(shape: str, said: argparse.Namespace, device: str) -> dict[str, Any]:
    """Return the rows of one shape."""
    problem = Problem.make(shape, said.tokens, said.dtype, device)
    exact = exact_losses(problem)
    rows: list[dict[str, Any]] = []
    for name in methods(device):
        row = apart(name, partial(measure, name, problem, exact, said.repeats), device)
        if "ms" in row:
            bare = rows[0] if rows else row
            row["share_of_product"] = round(bare["ms"] / row["ms"], 3)
        rows.append(row)
        print(f"  {shape:14s} " + ", ".join(f"{key} {value}" for key, value in row.items()))
    dim, vocab = SHAPES[shape]
    found = {"shape": shape, "tokens": said.tokens, "dim": dim, "vocab": vocab, "rows": rows}
    if said.tiles:
        found["tiles_ms"] = tile_times(problem)
        print(f"  {shape:14s} {found['tiles_ms']}")
    return found


def tile_times(p: Problem) -> dict[str, float]:
    """Milliseconds of each tile that Triton could take, all statistics; the table's is first."""
    from tamis.kernels.tuning import fastest_tile  # Triton

    _, medians = fastest_tile(p.hidden, LMHead(p.weight), p.targets, STATS)
    return {str(tile): round(ms, 3) for tile, ms in medians.items()}


def main() -> None:
    """Measure, print and write."""
    device = device_here()
    gpu = device == "cuda"
    parser = argparse.ArgumentParser(description="Kernels against whole and chunked logits.")
    parser.add_argument("--tokens", type=int, default=8192 if gpu else 512)
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--repeats", type=int, default=20 if gpu else 3)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--tiles", action="store_true", help="Time every tile, on a GPU.")
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    if said.tiles and not gpu:
        parser.error("--tiles times Triton's tiles, which needs an NVIDIA GPU")
    if min(said.repeats, said.tokens) < 1:
        parser.error("--repeats and --tokens must be at least 1")
    with torch.inference_mode():
        results = [run_shape(shape, said, device) for shape in said.shapes]
    record = {"dtype": said.dtype, "repeats": said.repeats, "results": results}
    write(f"kernels-{device}-{said.dtype}", said.out, record)


if __name__ == "__main__":
    main()
