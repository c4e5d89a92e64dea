"""Uniform noise for token embeddings that is a pure function of what it belongs to.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011)
turns a counter of four 32-bit words and a key of two into four random words. Here, with all words
modulo 2^32:

    key     = (low, high) word of the sequence's 64-bit key
    counter = (block of four dimensions, position, copy, 0)
    value   = (word >> 8) * 2^-23 - 1, in [-1, 1)

so value `d` of a position comes from word ``d mod 4`` of block ``d // 4``. It does not depend on
which other sequences, positions or copies are made beside it, nor on device, threads or order, bit
for bit. (24 of 32 bits: what fp32 holds exactly.)
"""

import torch
from torch import Tensor

from .backend import Backend

ROUNDS = 10
FACTORS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85  # added to the key after each round
WORD = 0xFFFFFFFF
CHUNK = 1 << 15  # counters worked on at a time on a CPU: its few buffers stay in the cache
CHUNK_GPU = 1 << 22


@torch.no_grad()
def uniform(
    keys: Tensor,
    copies: Tensor,
    first: Tensor,
    length: int,
    dim: int,
    backend: Backend = "torch",
) -> Tensor:
    """Return the noise of some sequences at consecutive positions.

    Args:
        keys: (sequences,) int64, any bits: whose noise it is.
        copies: (sequences,) int64 in [0, 2^32): which draw of it.
        first: (sequences,) int64, position of each sequence's first value; taken modulo 2^32.
        length: positions of each sequence.
        dim: values of a position, at most 2^33.
        backend: torch, or triton on an NVIDIA GPU; the same bits.

    Returns:
        (sequences, length, dim) fp32 in [-1, 1), on the device of `keys`. Extra memory 3 MB, on a
        GPU 300 MB (torch) or none (triton).

    Raises:
        ValueError: shapes or dtypes that do not fit.
    """
    check(keys, copies, first, length, dim)
    if backend == "triton":
        from .noise_triton import uniform_triton  # a compiler, which few runs need

        return uniform_triton(keys, copies, first, length, dim)
    n_blocks = -(-dim // 4)
    device = keys.device
    out = torch.empty(len(keys) * length, dim, device=device)
    positions = (first[:, None] + torch.arange(length, device=device)).flatten()
    columns = torch.stack([keys & WORD, (keys >> 32) & WORD, copies & WORD])
    k0, k1, copy = columns.repeat_interleave(length, 1)[..., None]
    position = (positions & WORD)[:, None]
    block = torch.arange(n_blocks, device=device)[None]
    zero = torch.zeros(1, 1, dtype=torch.int64, device=device)
    step = max(1, (CHUNK if device.type == "cpu" else CHUNK_GPU) // max(n_blocks, 1))
    buffer = torch.empty(min(step, len(out)), n_blocks, 4, device=device)
    for low in range(0, len(out), step):
        some = slice(low, low + step)
        words = philox((block, position[some], copy[some], zero), (k0[some], k1[some]))
        n = len(k0[some])
        for place, word in enumerate(words):
            buffer[:n, :, place] = word.bitwise_right_shift_(8)
        # both steps are exact, so the order of rounding cannot matter
        values = buffer[:n].mul_(2.0**-23).sub_(1.0)
        out[some] = values.view(n, 4 * n_blocks)[:, :dim]
    return out.view(len(keys), length, dim)


def philox(
    counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the four random words of each counter, as fresh int64 tensors in [0, 2^32).

    Args:
        counter: four int64 tensors in [0, 2^32) that can be broadcast together.
        key: two of them.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        # A product of two words fits 64 bits: int64 holds its bits, if not its sign. `c1` and `c3`
        # keep the whole product; the mask after the next exclusive or takes their low word.
        left, right = c0 * FACTORS[0], c2 * FACTORS[1]
        c0, c2 = _mixed(right, c1, k0), _mixed(left, c3, k1)
        c1, c3 = right, left
        k0, k1 = (k0 + WEYL[0]) & WORD, (k1 + WEYL[1]) & WORD
    return c0, c1.bitwise_and_(WORD), c2, c3.bitwise_and_(WORD)


def check(keys: Tensor, copies: Tensor, first: Tensor, length: int, dim: int) -> None:
    """Raise a ValueError unless these are arguments for noise."""
    for name, tensor in (("keys", keys), ("copies", copies), ("first", first)):
        if tensor.shape != (len(keys),) or tensor.dtype != torch.int64:
            raise ValueError(
                f"{name} must be int64 of shape ({len(keys)},); "
                f"got {tensor.dtype} of shape {tuple(tensor.shape)}"
            )
    if length < 0 or not 1 <= dim <= 1 << 33:
        raise ValueError(f"length must be at least 0, dim in [1, 2^33]; got {length} and {dim}")


def _mixed(product: Tensor, word: Tensor, key: Tensor) -> Tensor:
    """High word of a product ^ low word of `word` ^ key."""
    mixed = (product >> 32) ^ word ^ key  # of another shape each, at first
    return mixed.bitwise_and_(WORD)
