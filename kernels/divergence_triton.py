"""`jensen_shannon` on NVIDIA GPUs (sm_80 on), by fused Triton kernels.

The log-sum-exps come from `token_stats_triton`. Then each program takes a tile of tokens and one
split of the vocabulary, makes the logits of both models in two accumulators, and keeps one sum per
token; the (S, tokens) sums are added by torch, with no atomics: the same bits from run to run.
Words that hold much probability and on which the models agree are left out and marked;
`divergence_heavy` adds their terms from products in fp64. The tokens are taken in turn, as many as
the marks of fit in 64 MB. `divergence_kernels` has the form of the terms.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import triton
from torch import Tensor

from .backend import CompileCase, choose, interpreting
from .divergence import Side, bounded, checked
from .divergence_heavy import BITS, heavy_sums
from .divergence_kernels import divergence_kernel
from .logits import LMHead
from .tiles import INTERPRETED, Tile, choose_splits, small_shared
from .token_stats import token_stats
from .token_stats_triton import TYPES, capability_of, factors

MASK_BYTES = 1 << 26  # of marks at once


@torch.no_grad()
def jensen_shannon_triton(
    hidden_p: Tensor,
    head_p: LMHead,
    hidden_q: Tensor,
    head_q: LMHead,
    vocab: int | None = None,
    *,
    tile: Tile | None = None,
    splits: tuple[int, int] | None = None,
) -> Tensor:
    """Do what `jensen_shannon` does, with the kernel of this module.

    Args:
        hidden_p: (tokens, dim_p), fp32, bf16 or fp16, on an NVIDIA GPU (anywhere if interpreted).
        head_p: LM head of the first model, on the same device.
        hidden_q: (tokens, dim_q) of the second model, likewise.
        head_q: LM head of the second model.
        vocab: number of real words.
        tile: instead of the one in the table; for tests and benchmarks.
        splits: their number and the words in each, likewise.

    Returns:
        (tokens,) fp32, nats, in [0, ln 2], as exact as those of `jensen_shannon`. Extra memory at
        most 64 MB for marks, and about 400 MB for fp64 products, or less for few heavy words.

    Raises:
        ValueError: what `jensen_shannon` raises, other dtypes, and a device that cannot run this.
    """
    head_p, head_q = checked(hidden_p, head_p, hidden_q, head_q, vocab)
    choose("triton", str(hidden_p.device))
    if hidden_p.device != hidden_q.device:
        raise ValueError(f"both models on one device; got {hidden_p.device}, {hidden_q.device}")
    sides = [
        (hidden.contiguous(), replace(head, weight=head.weight.contiguous()))
        for hidden, head in ((hidden_p, head_p), (hidden_q, head_q))
    ]
    none = torch.zeros(len(hidden_p), dtype=torch.int64, device=hidden_p.device)
    lses = [token_stats(*side, none, ("lse",), "triton")["lse"] for side in sides]
    if not len(hidden_p):
        return lses[0]
    capability, multiprocessors = capability_of(hidden_p)
    if tile is None:
        operands = [tensor for hidden, head in sides for tensor in (hidden, head.weight)]
        itemsize = 4 if _upcast(*operands) else hidden_p.itemsize
        dims = [hidden.shape[1] for hidden, _ in sides]
        tile = INTERPRETED if interpreting() else divergence_tile(itemsize, capability, dims)
    p, q = (Side(*side, lse) for side, lse in zip(sides, lses, strict=True))
    words = max(len(head.weight) for _, head in sides)
    some = max(tile.rows, MASK_BYTES * 8 // words // tile.rows * tile.rows)  # tokens
    total = torch.empty(len(hidden_p), dtype=torch.float64, device=hidden_p.device)
    for first in range(0, len(total), some):
        part = total[first : first + some]
        count, span = splits or choose_splits(len(part), words, tile, multiprocessors)
        pair = p.rows(first, first + some), q.rows(first, first + some)
        with torch.cuda.device_of(hidden_p):  # type: ignore[no-untyped-call]
            sums, marks = _launch(pair, count, span, tile)
        torch.add(sums.sum(0, dtype=torch.float64), heavy_sums(*pair, marks), out=part)
    return bounded(total, p, q)


def divergence_tile(itemsize: int, capability: int, dims: Sequence[int]) -> Tile:
    """Return the tile: the largest of which two accumulators and marks need no local stores."""
    small = small_shared(capability)
    tile = Tile(128, 64, 32 if small else 64, 8, 3)
    if itemsize == 4 and small:
        tile = Tile(128, 64, 16, 8, 2)
    elif itemsize == 4:
        tile = Tile(128, 64, 16 if capability < 90 else 32, 8, 3)
    uneven = Tile(64, 32, 16, 8, 2)  # masked loads take registers
    return uneven if any(dim % tile.step for dim in dims) else tile


def _upcast(*tensors: Tensor) -> bool:
    """Whether operands become fp32; bf16 products are wrong in the interpreter."""
    dtypes = {tensor.dtype for tensor in tensors}
    return len(dtypes) > 1 or (interpreting() and torch.bfloat16 in dtypes)


def _launch(sides: tuple[Side, Side], count: int, span: int, tile: Tile) -> tuple[Tensor, Tensor]:
    """Return sums (splits, tokens) and the mask of words that they lack, for `heavy_sums`."""
    hidden = sides[0].hidden
    sums = torch.empty(count, len(hidden), device=hidden.device)
    words = max(len(side.head.weight) for side in sides)
    numbers = triton.cdiv(words, tile.columns) * (tile.columns // BITS)
    marks = torch.empty(len(hidden), numbers, dtype=torch.int32, device=hidden.device)
    arguments: dict[str, object] = {"out": sums, "marks": marks, "span": span}
    for name, side in zip("pq", sides, strict=True):
        hidden, head = side.hidden, side.head
        pre, post = factors(head)
        arguments |= {
            f"h_{name}": hidden,
            f"w_{name}": head.weight,
            f"bias_{name}": None if head.bias is None else head.bias.contiguous(),
            f"lse_{name}": side.lse,
            f"vocab_{name}": len(head.weight),
            f"dim_{name}": hidden.shape[1],
            f"pre_{name}": pre,
            f"post_{name}": post if head.softcap is not None else pre * post,
            f"CAPPED_{name.upper()}": head.softcap is not None,
        }
    grid = (triton.cdiv(len(hidden), tile.rows) * count,)
    options = {"num_warps": tile.warps, "num_stages": tile.stages}
    even = all(side.hidden.shape[1] % tile.step == 0 for side in sides)
    upcast = _upcast(*(tensor for side in sides for tensor in (side.hidden, side.head.weight)))
    flags = _flags(tile, even, upcast)
    divergence_kernel[grid](n=len(hidden), numbers=numbers, **arguments, **flags, **options)
    return sums, marks


def _flags(tile: Tile, even: bool, upcast: bool) -> dict[str, object]:
    return {
        "EVEN": even,
        "UPCAST": upcast,
        "PRECISION": "tf32x3",
        "ROWS": tile.rows,
        "COLUMNS": tile.columns,
        "STEP": tile.step,
    }


def compile_cases(capability: int) -> list[CompileCase]:
    """Return the kernels that the table can choose on an architecture.

    Args:
        capability: 80, 86, 90, ...
    """
    return [
        _case(divergence_tile(dtype.itemsize, capability, [dim]), TYPES[dtype], on, dim == 4096)
        for dtype in (torch.bfloat16, torch.float32)
        for on, dim in ((False, 4096), (True, 4096), (True, 4100))
    ]


def _case(tile: Tile, kind: str, on: bool, even: bool) -> CompileCase:
    """The kernel with bias and softcap of both models, or with none of them."""
    signature = {"out": "*fp32", "marks": "*i32", "n": "i32", "numbers": "i32", "span": "i32"}
    flags = _flags(tile, even, False)
    for name in "pq":
        signature |= {f"h_{name}": f"*{kind}", f"w_{name}": f"*{kind}", f"lse_{name}": "*fp32"}
        signature |= {f"vocab_{name}": "i32", f"dim_{name}": "i32"}
        signature |= {f"pre_{name}": "fp32", f"post_{name}": "fp32"}
        flags[f"CAPPED_{name.upper()}"] = on
        if on:
            signature[f"bias_{name}"] = f"*{kind}"
        else:
            flags[f"bias_{name}"] = None
    divisible = ("dim_p", "dim_q", "span") if even else ("span",)
    return CompileCase(divergence_kernel, signature, flags, tile.warps, tile.stages, divisible)
