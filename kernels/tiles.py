"""The tiles of the fused kernels: an explicit table by hidden size, dtype and architecture.

Not autotuned: the same call takes the same tile on every run, and so gives the same bits. Tile
sides are powers of two, at least 16. The table and the candidates for `tuning` hold only what
compiles without local stores (`tests/kernels/test_compile_gate.py`).
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
        specialised: some warps only load, by descriptors, while others compute (sm_90). The
            compiler makes three times `warps` of it; with 8 it would, without a word, not do it.
        halves: what follows the product works on one half of the columns at a time, and needs
            fewer registers.
    """

    rows: int
    columns: int
    step: int
    warps: int
    stages: int
    resident: int = 1
    descriptors: bool = False
    specialised: bool = False
    halves: bool = False

    @property
    def computing_warps(self) -> int:
        """Those that multiply: of three groups of a specialised program two."""
        return 2 * self.warps if self.specialised else self.warps


INTERPRETED = Tile(16, 64, 32, 4, 1)
UNEVEN = Tile(64, 64, 16, 8, 2)  # masked loads take registers
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
    tile = _even_tile(dim, itemsize, capability, aligned, bias)
    return UNEVEN if dim % tile.step else tile


def _even_tile(dim: int, itemsize: int, capability: int, aligned: bool, bias: bool) -> Tile:
    """The tile for a hidden size that is a multiple of its step."""
    hopper, blackwell = capability // 10 == 9, capability // 10 in (10, 11)
    if itemsize == 4:
        return Tile(128, 128, 32, 8, 3) if hopper else Tile(128, 64, 32, 8, 2, halves=True)
    if small_shared(capability):
        return Tile(128, 128, 32, 8, 3)
    if blackwell:
        columns = 128 if aligned else 64  # by pointers, Triton 3.9 spills with 128
        return Tile(128, columns, 64, 8, 3, descriptors=aligned)
    if not hopper or not aligned:
        return Tile(128, 128, 64, 8, 3)
    if dim <= SMALL_DIM or bias:
        return Tile(128, 128, 64, 4, 3, resident=2, descriptors=True)
    return Tile(128, 256, 64, 8, 3, descriptors=True)


def candidates(
    dim: int, itemsize: int, capability: int, aligned: bool, bias: bool = False
) -> list[Tile]:
    """Return every tile worth trying, what the table chooses first.

    The arguments are those of `choose_tile`. The list depends on the installed Triton too: what
    spills with one version is left out there.
    """
    if itemsize == 4:
        others = _full_precision(capability)
    elif small_shared(capability):
        others = [Tile(128, 128, 32, 8, 4), Tile(128, 64, 64, 4, 3, resident=2)]
    elif capability // 10 in (10, 11):
        others = _blackwell(aligned, bias)
    elif capability // 10 == 9:
        others = _hopper(aligned, bias)
    else:
        others = [Tile(128, 128, 64, 8, 4), Tile(128, 128, 32, 8, 4)]
        others.append(Tile(128, 64, 64, 4, 3, resident=2))
    first = choose_tile(dim, itemsize, capability, aligned, bias)
    return [first, *(tile for tile in others if tile != first and dim % tile.step == 0)]


def _hopper(aligned: bool, bias: bool) -> list[Tile]:
    """Candidates for half precision on sm_90."""
    if not aligned:
        wide = [] if bias else [Tile(128, 256, 64, 8, 3, halves=True)]
        return [Tile(128, 128, 64, 8, 4), *wide]
    found = [Tile(128, 128, 64, 4, 3, resident=2, descriptors=True)]
    if not bias:
        found.append(Tile(128, 256, 64, 8, 3, descriptors=True))
    # Where warps are specialised, Triton 3.9 spills without halves, and 3.6 cannot do halves and
    # with a bias spills.
    halves = _triton_version() >= (3, 7)
    if halves or not bias:
        found += [
            Tile(128, 256, 64, 4, stages, descriptors=True, specialised=True, halves=halves)
            for stages in (3, 4)
        ]
    return found


def _blackwell(aligned: bool, bias: bool) -> list[Tile]:
    """Candidates for half precision on sm_100."""
    if not aligned:
        return [Tile(128, 64, 64, 8, 4)]
    wide = [] if bias else [Tile(128, 256, 64, 8, 3, descriptors=True, halves=True)]
    return [
        Tile(128, 128, 64, 8, 4, descriptors=True),
        Tile(128, 128, 64, 4, 3, resident=2, descriptors=True),
        *wide,
    ]


def _full_precision(capability: int) -> list[Tile]:
    """Candidates for products of fp32."""
    if capability // 10 == 9:
        return [Tile(128, 128, 32, 8, 2), Tile(128, 64, 32, 8, 3)]
    return [Tile(128, 64, 32, 8, 3, halves=True)]


def _triton_version() -> tuple[int, ...]:
    """Major and minor number."""
    import triton

    return tuple(int(number) for number in triton.__version__.split(".")[:2])


def small_shared(capability: int) -> bool:
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
