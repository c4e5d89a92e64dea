"""The tiles of the fused kernels: an explicit table by hidden size, dtype and architecture.

Not autotuned: the same call takes the same tile on every run, and so gives the same bits. Tile
sides are powers of two, at least 16. The table holds only what compiles without local stores
(`tests/kernels/test_compile_gate.py`).
"""

from dataclasses import dataclass

LEAST_SPLITS = 8  # of the vocabulary: sums over long splits lose bits
MOST_SPLITS = 16  # with many tokens: partial states take memory


@dataclass(frozen=True)
class Tile:
    """Shape of a program's tile of logits, and how it is compiled.

    Attributes:
        rows: tokens.
        columns: words.
        step: how much of the hidden size is loaded at once.
        warps: per program.
        stages: depth of the pipeline of loads.
        resident: programs that fit on one multiprocessor at the same time.
        descriptors: load by tensor descriptors (TMA); else by pointers.
    """

    rows: int
    columns: int
    step: int
    warps: int
    stages: int
    resident: int = 1
    descriptors: bool = False


INTERPRETED = Tile(16, 64, 32, 4, 1)
SMALL_DIM = 1024  # up to here two small programs per multiprocessor hide each other's exponentials


def choose_tile(
    dim: int, itemsize: int, capability: int, aligned: bool, bias: bool = False
) -> Tile:
    """Return the tile for a hidden size.

    Args:
        dim: hidden size.
        itemsize: bytes per element of the operands of the product; 4 means tf32x3.
        capability: 80, 86, 90, ...; others take the tile of the next lower one.
        aligned: rows of both operands start at multiples of 16 bytes, as descriptors need.
        bias: the head has one; its registers make the largest tile spill with Triton 3.9.
    """
    hopper, blackwell = capability // 10 == 9, capability // 10 in (10, 11)
    if itemsize == 4:
        return Tile(128, 128, 32, 8, 3) if hopper else Tile(128, 64, 32, 8, 2)
    if _small_shared(capability):
        return Tile(128, 128, 32, 8, 3)
    if blackwell:
        columns = 128 if aligned else 64  # by pointers, Triton 3.9 spills with 128
        return Tile(128, columns, 64, 8, 3, descriptors=aligned)
    if not hopper or not aligned:
        return Tile(128, 128, 64, 8, 3)
    if dim <= SMALL_DIM or bias:
        return Tile(128, 128, 64, 4, 3, resident=2, descriptors=True)
    return Tile(128, 256, 64, 8, 3, descriptors=True)


def _small_shared(capability: int) -> bool:
    """Consumer GPUs have 99 KB of shared memory per program."""
    return capability in (86, 87, 89) or capability >= 120


def choose_splits(n: int, vocab: int, tile: Tile, multiprocessors: int) -> tuple[int, int]:
    """Return how many splits of the vocabulary there are, and the words in each.

    Takes the number that ends first if all tiles take equally long, the smallest of equals.

    Args:
        n: tokens.
        vocab: words.
        tile: of the kernel.
        multiprocessors: of the GPU.
    """
    rows, columns = -(-n // tile.rows), max(1, -(-vocab // tile.columns))
    slots = multiprocessors * tile.resident
    most = min(columns, max(MOST_SPLITS, -(-2 * slots // max(1, rows))))
    least = min(columns, LEAST_SPLITS)

    def duration(splits: int) -> int:
        return -(-rows * splits // slots) * (-(-columns // splits) + 1)  # 1: to start and to end

    best = min(range(least, most + 1), key=duration)
    per_split = -(-columns // best)
    return -(-columns // per_split), per_split * tile.columns
