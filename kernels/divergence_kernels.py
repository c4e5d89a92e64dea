"""The Triton kernel of `divergence_triton`; there is its contract.

With ``a = |r| / 2`` and ``w = exp(-|r|)`` a term of the sum is max(p, q) times

    exp(-a) a^2 (1/2 + a^4 / 144)                        for close probabilities
    (1 + w) log(2 / (1 + w)) / 2 - w a                   else

which is the form of `divergence` without its tanh; the first part of the second line is a
polynomial in w, because a logarithm would cost twice as many instructions.
"""

import triton
import triton.language as tl

from .divergence import CLOSE, HEAVY
from .divergence_heavy import BITS
from .logits import MASKED
from .token_stats_kernels import multiply, shape
from .token_stats_triton import LOG2_E

LOWEST = tl.constexpr(MASKED)
TO_LOG2 = tl.constexpr(LOG2_E)
NEAR = tl.constexpr(CLOSE / 2)
FAR = tl.constexpr(100.0)  # of |r| / 2: beyond, w is 0 anyway and powers would overflow
LARGE, PACKED = tl.constexpr(HEAVY), tl.constexpr(BITS)
ALL = tl.constexpr(tl.PropagateNan.ALL)  # else a row of NaN would look fine

# (1 + w) log(2 / (1 + w)) / 2 for w in [0, exp(-0.35)], lowest power first: least squares with
# weights that make the error of a whole term even, then rounded to fp32: 6e-7 of the term.
C0, C1 = tl.constexpr(0.3465735912322998), tl.constexpr(-0.1534275859594345)
C2, C3 = tl.constexpr(-0.24997177720069885), tl.constexpr(0.08305496722459793)
C4, C5 = tl.constexpr(-0.040227893739938736), tl.constexpr(0.020647823810577393)
C6, C7 = tl.constexpr(-0.008485701866447926), tl.constexpr(0.0018443595618009567)


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def _logits(
    h: tl.tensor,
    w: tl.tensor,
    bias: tl.tensor,
    first: tl.int32,
    low: tl.int32,
    n: tl.int32,
    vocab: tl.int32,
    dim: tl.int32,
    pre: tl.float32,
    post: tl.float32,
    CAPPED: tl.constexpr,
    EVEN: tl.constexpr,
    UPCAST: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
) -> tl.tensor:
    """(ROWS, COLUMNS) logits; LOWEST where the model does not have the word."""
    i, j = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    # A tile that lies beyond this vocabulary reads its last word, and is masked.
    start = tl.minimum(low, vocab - 1)
    h_rows, w_rows = tl.minimum(i, n - 1 - first) * dim, tl.minimum(j, vocab - 1 - start) * dim
    h += tl.cast(first, tl.int64) * dim
    w += tl.cast(start, tl.int64) * dim
    x = multiply(h, h_rows, w, w_rows, dim, EVEN, UPCAST, PRECISION, ROWS, COLUMNS, STEP)
    words = low + j
    if bias is not None:
        x += tl.load(bias + words, mask=words < vocab, other=0.0).to(tl.float32)[None, :]
    if CAPPED:
        x = shape(x, pre, "softcap")
    return tl.where((words < vocab)[None, :], x * post, LOWEST)


@triton.jit  # type: ignore[untyped-decorator]
def _terms(
    z_p: tl.tensor, z_q: tl.tensor, lse_p: tl.tensor, lse_q: tl.tensor
) -> tuple[tl.tensor, tl.tensor]:
    """Terms of the sum, 0 for those that are to be made in fp64, and which ones are."""
    a = tl.minimum(tl.abs(z_q - z_p - (lse_q - lse_p)) * 0.5, FAR, propagate_nan=ALL)
    largest = tl.exp2(tl.maximum(z_p - lse_p, z_q - lse_q, propagate_nan=ALL) * TO_LOG2)
    root = tl.exp2(a * -TO_LOG2)
    w = root * root
    square = a * a
    near = root * square * (0.5 + square * square * (1 / 144))
    far = C4 + w * (C5 + w * (C6 + w * C7))
    far = C0 + w * (C1 + w * (C2 + w * (C3 + w * far))) - w * a
    heavy = (largest > LARGE) & (a < NEAR)
    return tl.where(heavy, 0.0, largest * tl.where(a < NEAR, near, far)), heavy


@triton.jit  # type: ignore[untyped-decorator]
def divergence_kernel(
    h_p: tl.tensor,
    w_p: tl.tensor,
    bias_p: tl.tensor,
    lse_p: tl.tensor,
    h_q: tl.tensor,
    w_q: tl.tensor,
    bias_q: tl.tensor,
    lse_q: tl.tensor,
    out: tl.tensor,
    marks: tl.tensor,
    n: tl.int32,
    vocab_p: tl.int32,
    vocab_q: tl.int32,
    dim_p: tl.int32,
    dim_q: tl.int32,
    numbers: tl.int32,
    span: tl.int32,
    pre_p: tl.float32,
    pre_q: tl.float32,
    post_p: tl.float32,
    post_q: tl.float32,
    CAPPED_P: tl.constexpr,
    CAPPED_Q: tl.constexpr,
    EVEN: tl.constexpr,
    UPCAST: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
) -> None:
    """Sums of `span` words: `out` (splits, n); bits of those left out: `marks` (n, numbers)."""
    tiles = (n + ROWS - 1) // ROWS
    first = (tl.program_id(0) % tiles) * ROWS
    split = tl.program_id(0) // tiles
    rows = first + tl.arange(0, ROWS)
    known = tl.minimum(rows, n - 1)  # rows beyond the last one repeat it, and are not stored
    level_p, level_q = tl.load(lse_p + known), tl.load(lse_q + known)
    total = tl.full((ROWS,), 0.0, tl.float32)
    parts: tl.constexpr = COLUMNS // PACKED
    bits = tl.full((PACKED,), 1, tl.int32) << tl.arange(0, PACKED)
    # 32 bits: the marks of one launch are at most 64 MB, or a tile of tokens.
    places = rows[:, None] * numbers + tl.arange(0, parts)[None, :]
    end = tl.minimum(split * span + span, tl.maximum(vocab_p, vocab_q))
    for low in range(split * span, end, COLUMNS):
        z_p = _logits(
            h_p, w_p, bias_p, first, low, n, vocab_p, dim_p, pre_p, post_p,
            CAPPED_P, EVEN, UPCAST, PRECISION, ROWS, COLUMNS, STEP,
        )  # fmt: skip
        z_q = _logits(
            h_q, w_q, bias_q, first, low, n, vocab_q, dim_q, pre_q, post_q,
            CAPPED_Q, EVEN, UPCAST, PRECISION, ROWS, COLUMNS, STEP,
        )  # fmt: skip
        terms, heavy = _terms(z_p, z_q, level_p[:, None], level_q[:, None])
        total += tl.sum(terms, 1)
        heavy = tl.reshape(heavy.to(tl.int32), (ROWS, parts, PACKED))
        packed = tl.sum(heavy * bits[None, None, :], 2)
        tl.store(marks + low // PACKED + places, packed, mask=(rows < n)[:, None])
    tl.store(out + split.to(tl.int64) * n + rows, total, mask=rows < n)
