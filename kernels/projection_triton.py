"""The dense projection of `projection.py` on an NVIDIA GPU: signs are made in registers.

Each program holds a tile of results (rows, columns) and walks one split of the coordinates: it
loads a tile of the gradients, hashes one word for 32 columns, unpacks it into signs of the dtype of
the dot, and multiplies. The splits depend on the width alone, so partial sums merge in a fixed
order without atomics: bitwise the same from run to run (for another number of rows or other pieces,
up to rounding).

bf16 and fp16 gradients meet their signs in their own dtype, which is exact, with fp32 sums. An fp32
gradient is taken apart into three bf16 numbers, which hold its 24 bits; three dots with the exact
signs then cost less than two in tf32 would and round nothing.
"""

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from .backend import CompileCase, choose, interpreting
from .projection import check, mix, sign_keys, signed

TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}

SPLITS = 16
SPLIT_MIN = 1 << 14  # coordinates below which another split is not worth its partial sums
ROWS = 64  # of one launch: its partial sums take 32 MB at k = 8,192
INNER = 64  # steps summed before they join the total: keeps rounding small at large p
WIDTH_MAX = 1 << 30  # of one launch: indices within a row are 32-bit


@torch.no_grad()
def project_triton(rows: Tensor, seed: int, k: int, first: int = 0) -> Tensor:
    """Do what `projection.project` does, with the kernel of this module.

    Args:
        rows: (rows, width), fp32, bf16 or fp16, on an NVIDIA GPU (anywhere if interpreted).
        seed: names the matrix, in [0, 2^63).
        k: dimensions of the result, at least 1.
        first: coordinate of the first column of `rows`.

    Returns:
        (rows, k) fp32. Extra memory at most 34 MB at k = 8,192.

    Raises:
        ValueError: what `project` raises, and a device that cannot run this.
    """
    check(rows, seed, k, first)
    return project_with(rows, sign_keys(seed), k, first)


def project_with(rows: Tensor, keys: tuple[int, int], k: int, first: int) -> Tensor:
    """Project with the signs of a row key and a column key of `sign_keys`; (rows, k) fp32."""
    choose("triton", str(rows.device))
    width = rows.shape[1]
    out = torch.zeros(len(rows), k, device=rows.device)
    low = 0
    while low < width:
        # One launch has one high word of the coordinates: it ends at the next multiple of 2^32.
        high = min(width, low + WIDTH_MAX, low + (1 << 32) - (first + low) % (1 << 32))
        for top in range(0, len(rows), ROWS):
            some = rows[top : top + ROWS, low:high]
            with torch.cuda.device_of(rows):  # type: ignore[no-untyped-call]
                out[top : top + ROWS] += _launch(some, keys, k, first + low)
        low = high
    return out.mul_(1.0 / math.sqrt(k))


def tile(dtype: torch.dtype) -> dict[str, int]:
    """Constants and warps: the largest tile that compiles without spills on every architecture.

    Tensor cores of sm_90 on take 64 rows at a time. Fewer are padded, which costs nothing: making
    the signs takes longer than the dot.
    """
    full = dtype == torch.float32
    return {
        "TILE_ROWS": ROWS,
        "TILE_COLUMNS": 64 if full else 128,
        "STEP": 32 if full else 64,
        "INNER": INNER,
        "num_warps": 8,
        "num_stages": 3,
    }


def compile_cases(capability: int) -> list[CompileCase]:
    """Return the kernels that can be chosen, which are the same on every architecture.

    Args:
        capability: 80, 86, 90, ...
    """
    cases = []
    for dtype, kind in TYPES.items():
        constants = tile(dtype)
        warps, stages = constants.pop("num_warps"), constants.pop("num_stages")
        signature = {"rows": f"*{kind}", "partial": "*fp32", "stride_row": "i64"}
        signature |= dict.fromkeys(PER_CALL, "i32")
        flags: dict[str, object] = {**constants, "UPCAST": False, "stride_coordinate": 1}
        cases.append(CompileCase(kernel, signature, flags, warps, stages, ("stride_row",)))
    return cases


def _launch(rows: Tensor, keys: tuple[int, int], k: int, first: int) -> Tensor:
    """Unscaled projection of at most ROWS rows: (rows, k) fp32."""
    n_rows, width = rows.shape
    constants: dict[str, Any] = tile(rows.dtype)
    chunk = constants["STEP"] * INNER
    n_splits = min(SPLITS, triton.cdiv(width, SPLIT_MIN))
    split = triton.cdiv(width, n_splits * chunk) * chunk
    partial = torch.empty(n_splits, n_rows, k, device=rows.device)
    kernel[(triton.cdiv(k, constants["TILE_COLUMNS"]), n_splits)](
        rows,
        partial,
        signed(mix(keys[0] ^ (first >> 32))),
        signed(keys[1]),
        signed(first & 0xFFFFFFFF),
        n_rows,
        width,
        k,
        split,
        *rows.stride(),
        UPCAST=interpreting(),
        **constants,
    )
    total = partial[0]
    for other in partial[1:]:
        total += other
    return total


@triton.jit  # type: ignore[untyped-decorator]
def _mix(x: tl.tensor) -> tl.tensor:
    """The hash of `projection.py`, of uint32."""
    x ^= x >> 16
    x *= 0x21F0AAAD
    x ^= x >> 15
    x *= 0x735A2D97
    return x ^ (x >> 15)


@triton.jit  # type: ignore[untyped-decorator]
def _signs(words: tl.tensor, dtype: tl.constexpr) -> tl.tensor:
    """Unpack words (STEP, columns / 32) into signs (STEP, columns) by their bits alone."""
    # Doubling keeps the 32 signs of a word in the thread that hashed it. Shifts by a range would
    # spread them over a warp, and each of its threads would hash the word again.
    bits = tl.interleave(words, words << 16)
    bits = tl.interleave(bits, bits << 8)
    bits = tl.interleave(bits, bits << 4)
    bits = tl.interleave(bits, bits << 2)
    bits = tl.interleave(bits, bits << 1)
    if dtype == tl.float32:
        signs = ((bits & 0x80000000) | 0x3F800000).to(tl.float32, bitcast=True)
    elif dtype == tl.bfloat16:
        signs = (((bits >> 16) & 0x8000) | 0x3F80).to(tl.uint16).to(tl.bfloat16, bitcast=True)
    else:
        signs = (((bits >> 16) & 0x8000) | 0x3C00).to(tl.uint16).to(tl.float16, bitcast=True)
    return signs


@triton.jit  # type: ignore[untyped-decorator]
def _dot(x: tl.tensor, words: tl.tensor, acc: tl.tensor, UPCAST: tl.constexpr) -> tl.tensor:
    """Add ``x @ signs`` to `acc`, exact in every product."""
    if UPCAST:
        signs = _signs(words, tl.float32)
        acc = tl.dot(x.to(tl.float32), signs, acc, input_precision="ieee")
    elif x.dtype == tl.float32:
        signs = _signs(words, tl.bfloat16)
        high = x.to(tl.bfloat16)
        rest = x - high.to(tl.float32)
        middle = rest.to(tl.bfloat16)
        low = (rest - middle.to(tl.float32)).to(tl.bfloat16)
        acc = tl.dot(low, signs, acc)
        acc = tl.dot(middle, signs, acc)
        acc = tl.dot(high, signs, acc)
    else:
        acc = tl.dot(x, _signs(words, x.dtype), acc)
    return acc


PER_CALL = ["row_key", "column_key", "first", "n_rows", "width", "k", "split"]


@triton.jit(do_not_specialize=PER_CALL)  # type: ignore[untyped-decorator]
def kernel(
    rows: tl.tensor,
    partial: tl.tensor,
    row_key: tl.int32,
    column_key: tl.int32,
    first: tl.int32,
    n_rows: tl.int32,
    width: tl.int32,
    k: tl.int32,
    split: tl.int32,
    stride_row: tl.int64,
    stride_coordinate: tl.int64,
    UPCAST: tl.constexpr,
    TILE_ROWS: tl.constexpr,
    TILE_COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
    INNER: tl.constexpr,
) -> None:
    """Sums of one split: rows (n_rows, width) into partial (splits, n_rows, k) fp32."""
    column, part = tl.program_id(0), tl.program_id(1)
    row = tl.arange(0, TILE_ROWS)
    q = (column * (TILE_COLUMNS // 32) + tl.arange(0, TILE_COLUMNS // 32)).to(tl.uint32)
    b = _mix(q ^ column_key.to(tl.uint32))
    start = part * split
    end = tl.minimum(start + split, width)
    lines = rows + row.to(tl.int64)[:, None] * stride_row
    total = tl.zeros((TILE_ROWS, TILE_COLUMNS), tl.float32)
    for piece in range(start, end, STEP * INNER):
        acc = tl.zeros((TILE_ROWS, TILE_COLUMNS), tl.float32)
        for low in range(piece, tl.minimum(piece + STEP * INNER, end), STEP):
            here = low + tl.arange(0, STEP)
            inside = (row < n_rows)[:, None] & (here < end)[None, :]
            x = tl.load(lines + here.to(tl.int64)[None, :] * stride_coordinate, inside, other=0.0)
            a = _mix((first.to(tl.uint32) + here.to(tl.uint32)) ^ row_key.to(tl.uint32))
            words = _mix(a[:, None] ^ b[None, :])
            acc = _dot(x, words, acc, UPCAST)
        total += acc
    columns = column * TILE_COLUMNS + tl.arange(0, TILE_COLUMNS)
    place = (part * n_rows + row).to(tl.int64)[:, None] * k + columns[None, :]
    tl.store(partial + place, total, mask=(row < n_rows)[:, None] & (columns < k)[None, :])
