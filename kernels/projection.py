"""Seeded random projection of per-sample gradients, without the projection matrix.

Rows ``x (p,)`` become ``x S / sqrt(k)`` with a matrix ``S (p, k)`` of random signs, so that inner
products are kept to about ``1/sqrt(k)`` (Johnson and Lindenstrauss; Achlioptas 2003 for signs;
LESS, arXiv 2402.04333, and TRAK, arXiv 2303.14186, project gradients so). ``S`` is never stored:
an entry is a pure function of seed, coordinate `i` and column `j`, by 32-bit integers alone, so it
is the same bit for bit on every device. With ``mix`` the hash "lowbias32" (Wellons and Mueller,
hash-prospector), ``^`` exclusive or, ``>>`` logical shift, all products and sums modulo 2^32:

    mix(x): x ^= x >> 16; x *= 0x21f0aaad; x ^= x >> 15; x *= 0x735a2d97; x ^= x >> 15
    root = mix(mix(seed mod 2^32) ^ (seed >> 32))
    row_key = mix(mix(root + 0x9e3779b9 (2 stream + 1)) ^ (i >> 32))
    column_key = mix(root + 0x9e3779b9 (2 stream + 2))
    word(i, j // 32) = mix(mix(i mod 2^32 ^ row_key) ^ mix(j // 32 ^ column_key))
    sign(i, j) = -1 if bit 31 - j mod 32 of word(i, j // 32) is set, else +1

One word holds the signs of 32 columns. `mix` is a bijection: no two of 2^32 coordinates share
a word of signs. `k` is no part of it: the first columns of a wider projection, times
sqrt(k wide / k narrow), are the narrow one.

Two kinds, which are different projections: `project` (dense: any direction, in pieces) and
`project_kronecker` (plain gradients of a linear layer, which are never written out).

Sums are fp32 over blocks of coordinates, which are summed in turn in pieces; other block sizes,
other pieces of p or another device change a result by at most 4e-6 of ``|x| / sqrt(k)``, the
typical size of an entry (measured: 1.3e-6 at p = 1e6), unless torch was told to use TF32.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from .backend import Backend

DTYPES = (torch.float32, torch.bfloat16, torch.float16)

BITS = 32  # signs in one word
BLOCK = 2048  # coordinates in a block of signs, 8 MB; smaller ones are mostly call overhead
BLOCK_GPU = 4096  # fewer, larger launches
COLUMNS = 1024  # a multiple of BITS
ROWS = 1024  # rows that share a block of signs
PIECE = 1 << 16  # coordinates hashed at a time, and summed before they join the total
TOKENS_BYTES = 16 << 20  # of projected tokens held at a time by `project_kronecker`

DENSE, OUTPUTS, INPUTS = 0, 1, 2  # streams: independent matrices of one seed
_WORD = 0xFFFFFFFF
_FACTORS = 0x21F0AAAD, 0x735A2D97
_ONE = 0x3F800000  # 1.0 as fp32


@torch.no_grad()
def project(rows: Tensor, seed: int, k: int, first: int = 0, backend: Backend = "torch") -> Tensor:
    """Return ``rows @ S[first : first + width] / sqrt(k)``, the dense Rademacher projection.

    Results of slices of the coordinates add up, so a gradient is projected parameter by parameter,
    each with the offset of its first element in the whole.

    Args:
        rows: (rows, width), fp32, bf16 or fp16; any strides.
        seed: names the matrix, in [0, 2^63).
        k: dimensions of the result, at least 1.
        first: coordinate of the first column of `rows`.
        backend: torch, or triton on an NVIDIA GPU; they agree within the tolerance above.

    Returns:
        (rows, k) fp32. Extra memory at most 30 MB, 45 MB on a GPU.

    Raises:
        ValueError: shapes, dtypes or numbers that do not fit; the message holds them.
    """
    check(rows, seed, k, first)
    return _project(rows, sign_keys(seed), k, first, backend)


@torch.no_grad()
def project_kronecker(
    outputs: Tensor,
    inputs: Tensor,
    owner: Tensor,
    n_rows: int,
    seed: int,
    k: tuple[int, int],
    layer: int = 0,
    backend: Backend = "torch",
) -> Tensor:
    """Project the gradient ``G = sum over tokens of outer(output gradient, input)`` of each row.

    The result is ``vec(S_out' G S_in) / sqrt(k_out k_in)``, that is ``vec(G)`` (row-major) times
    ``kron(S_out, S_in)``: both factors are projected per token, and `G` is never written out. This
    is not the projection of `project`, and holds for plain gradients only, as Adam's direction is
    not linear in them. Its inner products vary more: the square of a norm has the relative variance
    2/k_out + 2/k_in where the gradient has rank one, against 2/(k_out k_in) for dense; the higher
    the rank, the nearer. It is the cheaper one where the tokens of a row are fewer than
    d_out d_in k_out k_in / (d_out k_out + d_in k_in), so for whole weights rather than for LoRA
    matrices of low rank and long rows. Layers of one model add up when each has its own `layer`.

    Args:
        outputs: (tokens, d_out) gradients at the layer's output, fp32, bf16 or fp16.
        inputs: (tokens, d_in) activations at the layer's input.
        owner: (tokens,) int64, the row of each token, in [0, n_rows); any order.
        n_rows: number of rows.
        seed: names the matrices, in [0, 2^63).
        k: (k_out, k_in).
        layer: number of the layer, in [0, 2^31).
        backend: of the projections of both factors, as for `project`.

    Returns:
        (n_rows, k_out * k_in) fp32. Extra memory at most 64 MB for k_out + k_in up to 4,096.

    Raises:
        ValueError: shapes, dtypes or numbers that do not fit; the message holds them.
    """
    _check_kronecker(outputs, inputs, owner, n_rows, k, layer)
    first = layer << 32  # the high word of a coordinate: no two layers share signs
    check(outputs, seed, k[0], first)
    check(inputs, seed, k[1], first)
    keys = sign_keys(seed, OUTPUTS), sign_keys(seed, INPUTS)
    out = torch.zeros(n_rows, k[0], k[1], device=outputs.device)
    step = max(1024, TOKENS_BYTES // (4 * sum(k)))
    for low in range(0, len(owner), step):
        order = owner[low : low + step].argsort(stable=True)
        left = _project(outputs[low : low + step], keys[0], k[0], first, backend)[order]
        right = _project(inputs[low : low + step], keys[1], k[1], first, backend)[order]
        counts = owner[low : low + step].bincount(minlength=n_rows)
        ends = counts.cumsum(0).tolist()
        for row in counts.nonzero().flatten().tolist():
            tokens = slice(ends[row - 1] if row else 0, ends[row])
            out[row].addmm_(left[tokens].T, right[tokens])
    return out.flatten(1)


@torch.no_grad()
def sign_matrix(
    seed: int, k: int, coordinates: range, stream: int = DENSE, device: str = "cpu"
) -> Tensor:
    """Return the signs of some coordinates, (len(coordinates), k) fp32 of +1 and -1, unscaled.

    For tests and other backends; a projection never holds it.

    Raises:
        ValueError: a step other than 1, or numbers that do not fit.
    """
    if coordinates.step != 1:
        raise ValueError(f"coordinates must have step 1; got {coordinates}")
    check(torch.empty(0, len(coordinates)), seed, k, coordinates.start)
    width = len(coordinates)
    signs = _Signs(sign_keys(seed, stream), torch.device(device), width, k)
    signs.seek(coordinates.start, width)
    out = torch.empty(width, k, device=device)
    for low, high in _steps(0, k, COLUMNS):
        out[:, low:high] = signs.block(0, width, low, high - low).T
    return out


def sign_keys(seed: int, stream: int = DENSE) -> tuple[int, int]:
    """Return row key (before the high word) and column key of a matrix, in [0, 2^32)."""
    root = mix(mix(seed) ^ (seed >> 32))
    rows, columns = (mix(root + 0x9E3779B9 * (2 * stream + t)) for t in (1, 2))
    return rows, columns


def signed(word: int) -> int:
    """Return the int32 with the bits of a word in [0, 2^32)."""
    return word - (1 << 32) if word >> 31 else word


def check(rows: Tensor, seed: int, k: int, first: int) -> None:
    """Raise a ValueError unless these are arguments for a projection."""
    if rows.ndim != 2 or rows.dtype not in DTYPES:
        raise ValueError(
            f"rows must be (rows, width) in fp32, bf16 or fp16; "
            f"got {rows.dtype} of shape {tuple(rows.shape)}"
        )
    if not 0 <= seed < 1 << 63:
        raise ValueError(f"seed must lie in [0, 2^63); got {seed}")
    if not 1 <= k < 1 << 31:
        raise ValueError(f"k must lie in [1, 2^31); got {k}")
    if not 0 <= first <= (1 << 63) - 1 - rows.shape[1]:
        raise ValueError(f"first must lie in [0, 2^63 - width); got {first}")


def _check_kronecker(
    outputs: Tensor, inputs: Tensor, owner: Tensor, n_rows: int, k: tuple[int, int], layer: int
) -> None:
    if outputs.ndim != 2 or inputs.ndim != 2 or len(outputs) != len(inputs):
        raise ValueError(
            f"outputs and inputs must be (tokens, d_out) and (tokens, d_in); "
            f"got {tuple(outputs.shape)} and {tuple(inputs.shape)}"
        )
    if max(outputs.shape[1], inputs.shape[1]) > 1 << 32:
        raise ValueError("d_out and d_in must be at most 2^32")
    if owner.shape != outputs.shape[:1] or owner.dtype != torch.int64:
        raise ValueError(
            f"owner must be int64 of shape {tuple(outputs.shape[:1])}; "
            f"got {owner.dtype} of shape {tuple(owner.shape)}"
        )
    if len(k) != 2:
        raise ValueError(f"k must be (k_out, k_in); got {k}")
    if not 0 <= layer < 1 << 31:
        raise ValueError(f"layer must lie in [0, 2^31); got {layer}")
    if n_rows < 0:
        raise ValueError(f"n_rows must be at least 0; got {n_rows}")
    if len(owner) and (int(owner.min()) < 0 or int(owner.max()) >= n_rows):
        raise ValueError(
            f"owner must lie in [0, {n_rows}); got {int(owner.min())} to {int(owner.max())}"
        )


def _project(rows: Tensor, keys: tuple[int, int], k: int, first: int, backend: Backend) -> Tensor:
    if backend == "triton":
        from .projection_triton import project_with  # a compiler, which few runs need

        return project_with(rows, keys, k, first)
    block = BLOCK if rows.device.type == "cpu" else BLOCK_GPU
    width, device = rows.shape[1], rows.device
    signs = _Signs(keys, device, min(block, width), k)
    out = torch.zeros(len(rows), k, device=device)
    for start, end in _steps(0, width, PIECE):
        signs.seek(first + start, end - start)
        for top, bottom in _steps(0, len(rows), ROWS):
            for left, right in _steps(0, k, COLUMNS):
                part = torch.zeros(bottom - top, right - left, device=device)
                for low, high in _steps(start, end, block):
                    matrix = signs.block(low - start, high - low, left, right - left)
                    part.addmm_(rows[top:bottom, low:high].float(), matrix.T)
                out[top:bottom, left:right] += part
    return out.mul_(1.0 / math.sqrt(k))


def _steps(low: int, high: int, step: int) -> Iterator[tuple[int, int]]:
    for start in range(low, high, step):
        yield start, min(start + step, high)


class _Signs:
    """Makes blocks of signs in buffers of its own: fresh memory would cost more than the hash."""

    def __init__(self, keys: tuple[int, int], device: torch.device, width: int, k: int) -> None:
        self.keys = [signed(key) for key in keys]
        self.a = torch.empty(0, dtype=torch.int32, device=device)
        self.b = _mix(torch.arange(-(-k // BITS), dtype=torch.int32, device=device) ^ self.keys[1])
        words = -(-min(k, COLUMNS) // BITS) * width
        self.words = torch.empty(2, words, dtype=torch.int32, device=device)
        self.bits = torch.empty(words * BITS, dtype=torch.int32, device=device)
        self.shifts = torch.arange(BITS, dtype=torch.int32, device=device)[:, None]

    def seek(self, first: int, width: int) -> None:
        """Hash `width` coordinates from `first`, once for all columns."""
        i = torch.arange(first, first + width, dtype=torch.int64, device=self.bits.device)
        low, high = _to_int32(i & _WORD), (i >> 32).to(torch.int32)
        self.a = _mix(low ^ _mix(high ^ self.keys[0]))

    def block(self, low: int, width: int, column: int, k: int) -> Tensor:
        """Signs (k, width) from coordinate `low` of those sought, column `column`, 32 to a word.

        A view of the buffer: the next call overwrites it.
        """
        n_words = -(-k // BITS)
        b = self.b[column // BITS :][:n_words, None]
        words, spare = (flat[: n_words * width].view(n_words, width) for flat in self.words)
        torch.bitwise_xor(self.a[low : low + width], b, out=words)
        _mix(words, spare)
        bits = self.bits[: n_words * BITS * width].view(n_words, BITS, width)
        torch.bitwise_left_shift(words[:, None], self.shifts, out=bits)
        bits.bitwise_and_(-1 << 31).bitwise_or_(_ONE)  # the sign bit of 1.0
        return bits.view(torch.float32).view(n_words * BITS, width)[:k]


def _to_int32(words: Tensor) -> Tensor:
    """The int32 with the same bits as int64 `words` in [0, 2^32)."""
    return torch.where(words >= 1 << 31, words - (1 << 32), words).to(torch.int32)


def _mix(x: Tensor, spare: Tensor | None = None) -> Tensor:
    """The hash `mix` of int32 words, in place."""
    spare = torch.empty_like(x) if spare is None else spare

    def fold(shift: int) -> None:
        # The shift of int32 is arithmetic; the mask makes it logical.
        torch.bitwise_right_shift(x, shift, out=spare)
        x.bitwise_xor_(spare.bitwise_and_(_WORD >> shift))

    fold(16)
    x.mul_(signed(_FACTORS[0]))
    fold(15)
    x.mul_(signed(_FACTORS[1]))
    fold(15)
    return x


def mix(x: int) -> int:
    """The hash `mix` of one word."""
    x &= _WORD
    x = ((x ^ (x >> 16)) * _FACTORS[0]) & _WORD
    x = ((x ^ (x >> 15)) * _FACTORS[1]) & _WORD
    return x ^ (x >> 15)
