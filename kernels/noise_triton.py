"""The noise of `noise.py` on an NVIDIA GPU: the same bits, made in registers and stored once.

A program makes some positions of one sequence times some blocks of four dimensions. The four words
of a block are interleaved before the store, so that neighbouring threads write neighbouring values.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .backend import CompileCase, choose
from .noise import check

TILE_POSITIONS = 4
TILE_BLOCKS = 64
WARPS = 4


@torch.no_grad()
def uniform_triton(keys: Tensor, copies: Tensor, first: Tensor, length: int, dim: int) -> Tensor:
    """Do what `noise.uniform` does, with the kernel of this module.

    Args:
        keys: (sequences,) int64, on an NVIDIA GPU (anywhere if interpreted).
        copies: (sequences,) int64 in [0, 2^32).
        first: (sequences,) int64, position of each sequence's first value.
        length: positions of each sequence.
        dim: values of a position.

    Returns:
        (sequences, length, dim) fp32 in [-1, 1).

    Raises:
        ValueError: what `uniform` raises, and a device that cannot run this.
    """
    check(keys, copies, first, length, dim)
    choose("triton", str(keys.device))
    out = torch.empty(len(keys), length, dim, device=keys.device)
    tiles = triton.cdiv(length, TILE_POSITIONS), triton.cdiv(dim, 4 * TILE_BLOCKS)
    if out.numel():
        with torch.cuda.device_of(keys):  # type: ignore[no-untyped-call]
            kernel[(len(keys), *tiles)](
                *(tensor.contiguous() for tensor in (keys, copies, first)),
                out,
                length,
                dim,
                TILE_POSITIONS=TILE_POSITIONS,
                TILE_BLOCKS=TILE_BLOCKS,
                num_warps=WARPS,
            )
    return out


def compile_cases(capability: int) -> list[CompileCase]:
    """Return the kernels that can be chosen, which are the same on every architecture.

    Args:
        capability: 80, 86, 90, ...
    """
    signature = dict.fromkeys(("keys", "copies", "first"), "*i64")
    signature |= {"out": "*fp32", "length": "i32", "dim": "i32"}
    tile = {"TILE_POSITIONS": TILE_POSITIONS, "TILE_BLOCKS": TILE_BLOCKS}
    return [
        CompileCase(kernel, signature, dict(tile), WARPS, 3, divisible)
        for divisible in ((), ("dim",))
    ]


@triton.jit(do_not_specialize=["length"])  # type: ignore[untyped-decorator]
def kernel(
    keys: tl.tensor,
    copies: tl.tensor,
    first: tl.tensor,
    out: tl.tensor,
    length: tl.int32,
    dim: tl.int32,
    TILE_POSITIONS: tl.constexpr,
    TILE_BLOCKS: tl.constexpr,
) -> None:
    """Noise of one sequence into its place in out (sequences, length, dim) fp32."""
    sequence = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * TILE_POSITIONS + tl.arange(0, TILE_POSITIONS)
    block = tl.program_id(2) * TILE_BLOCKS + tl.arange(0, TILE_BLOCKS)
    position = (tl.load(first + sequence) + place).to(tl.uint32)
    # every counter word in the shape of the tile: the rounds do not broadcast
    zero = tl.zeros((TILE_POSITIONS, TILE_BLOCKS), tl.uint32)
    a, b, c, d = tl.philox(
        tl.load(keys + sequence),
        block.to(tl.uint32)[None, :] + zero,
        position[:, None] + zero,
        tl.load(copies + sequence).to(tl.uint32) + zero,
        zero,
        10,
    )
    words = tl.interleave(tl.interleave(a, c), tl.interleave(b, d))  # a b c d of each block
    values = (words >> 8).to(tl.float32) * 1.1920928955078125e-07 - 1.0  # times 2^-23
    column = tl.program_id(2) * (4 * TILE_BLOCKS) + tl.arange(0, 4 * TILE_BLOCKS)
    target = out + (sequence * length + place)[:, None] * dim + column[None, :]
    tl.store(target, values, mask=(place < length)[:, None] & (column < dim)[None, :])
