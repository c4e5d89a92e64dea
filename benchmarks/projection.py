"""Seeded random projections against a matrix of signs that is made in pieces and multiplied.

The baseline holds one piece of the matrix at a time, drawn by torch's own generator. Dense: rows of
`width` coordinates. Kronecker: per-token factors of a layer's gradient, against the same two
products with pieces of drawn signs. On a GPU where there is one, else on one thread, each method in
a process of its own.

    python benchmarks/projection.py

Writes benchmarks/results/projection-<device>.json, or what --out names.
"""

import argparse
import math
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

if "tamis" not in sys.modules:  # works without an installation: the kernels need torch alone
    package = types.ModuleType("tamis")
    package.__path__ = [str(Path(__file__).resolve().parent.parent)]
    sys.modules["tamis"] = package

from tamis.benchmarks.measuring import apart, device_here, timings, write
from tamis.kernels.backend import choose
from tamis.kernels.projection import project, project_kronecker

PIECE = 4096  # coordinates of the drawn matrix at a time


def drawn(rows: Tensor, k: int) -> Tensor:
    """``rows @ signs / sqrt(k)`` with signs drawn in pieces of coordinates."""
    generator = torch.Generator(rows.device).manual_seed(0)
    out = torch.zeros(len(rows), k, device=rows.device)
    for low in range(0, rows.shape[1], PIECE):
        part = rows[:, low : low + PIECE].float()
        shape = part.shape[1], k
        signs = torch.randint(2, shape, generator=generator, device=rows.device)
        out.addmm_(part, signs.float().mul_(2).sub_(1))
    return out / math.sqrt(k)


def drawn_kronecker(
    outputs: Tensor, inputs: Tensor, owner: Tensor, n: int, k: tuple[int, int]
) -> Tensor:
    """Both factors by `drawn`, then a product for each row; tokens of a row lie together."""
    left, right = drawn(outputs, k[0]), drawn(inputs, k[1])
    ends = owner.bincount(minlength=n).tolist()
    pairs = zip(torch.split(left, ends), torch.split(right, ends), strict=True)
    return torch.stack([(a.T @ b).flatten() for a, b in pairs])


def cases(said: argparse.Namespace, device: str) -> dict[str, tuple[Callable[[], Tensor], int]]:
    """Return the methods, and how many signs each makes in a call."""
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    backend = choose("auto", device)
    rows = normal(said.rows, said.width)
    tokens = said.rows * said.tokens_per_row
    outputs, inputs = normal(tokens, said.dim), normal(tokens, said.dim)
    owner = torch.arange(said.rows, device=device).repeat_interleave(said.tokens_per_row)
    side = math.isqrt(said.k)
    k, signs = (side, side), 2 * said.dim * side
    return {
        "tamis, dense": (
            lambda: project(rows, 0, said.k, backend=backend),
            said.width * said.k,
        ),
        "drawn signs, dense": (lambda: drawn(rows, said.k), said.width * said.k),
        "tamis, kronecker": (
            lambda: project_kronecker(outputs, inputs, owner, said.rows, 0, k, backend=backend),
            signs,
        ),
        "drawn signs, kronecker": (
            lambda: drawn_kronecker(outputs, inputs, owner, said.rows, k),
            signs,
        ),
    }


def measure(
    call: Callable[[], Tensor], signs: int, said: argparse.Namespace, device: str
) -> dict[str, Any]:
    """Time a method; its signs count as the fp32 numbers that it multiplies with."""
    row, _ = timings(call, device, said.repeats)
    seconds = row["ms"] / 1e3
    row["rows_per_s"] = round(said.rows / seconds, 1)
    row["signs_gb_per_s"] = round(4 * signs / seconds / 1e9, 3)
    return row


def main() -> None:
    """Measure, print and write."""
    device = device_here()
    gpu = device == "cuda"
    parser = argparse.ArgumentParser(description="Projections against drawn signs.")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--width", type=int, default=1 << 24 if gpu else 1 << 16)
    parser.add_argument("--k", type=int, default=4096)
    parser.add_argument("--tokens-per-row", type=int, default=256 if gpu else 64)
    parser.add_argument("--dim", type=int, default=4096 if gpu else 768)
    parser.add_argument("--repeats", type=int, default=20 if gpu else 5)
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    with torch.inference_mode():
        rows = [
            apart(name, partial(measure, call, signs, said, device), device)
            for name, (call, signs) in cases(said, device).items()
        ]
    for row in rows:
        print(f"  {row}")
    names = ("rows", "width", "k", "tokens_per_row", "dim", "repeats")
    shape = {name: getattr(said, name) for name in names} | {"dtype": "fp32"}
    write(f"projection-{device}", said.out, {"shape": shape, "results": rows})


if __name__ == "__main__":
    main()
