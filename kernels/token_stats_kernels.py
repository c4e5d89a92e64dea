"""The Triton kernels of `token_stats_triton`; there is their contract.

Each program of `scan_kernel` takes a tile of tokens and one split of the vocabulary, walks over
the tiles of its split and keeps the leave-one-out state of its rows in registers.

Inside the kernels a logit ``x`` lacks its last positive factor (scale or softcap, and
temperature); exponentials are powers of 2, so that factor and log2(e) are one multiplication.
A masked logit is a large finite number: infinities would give NaN. No loop holds an ``if`` that
is decided at run time: it would silently switch off what the compiler does to hide latency.
"""

import triton
import triton.language as tl

from .logits import MASKED

LOWEST = tl.constexpr(MASKED)
FLOOR = tl.constexpr(MASKED / 2)  # of the maximum: where all is masked, exp(LOWEST - FLOOR) is 0


@triton.jit  # type: ignore[untyped-decorator] # Triton has no types
def multiply(
    h: tl.tensor,
    h_rows: tl.tensor,
    w: tl.tensor,
    w_rows: tl.tensor,
    dim: tl.int32,
    EVEN: tl.constexpr,
    UPCAST: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
) -> tl.tensor:
    """Products (ROWS, COLUMNS) of the rows that start at `h` + `h_rows` and `w` + `w_rows`."""
    total = tl.full((ROWS, COLUMNS), 0.0, tl.float32)
    steps = tl.arange(0, STEP)[None, :]
    h_offsets, w_offsets = h_rows[:, None] + steps, w_rows[:, None] + steps
    for k in range(0, dim, STEP):
        if EVEN:
            a = tl.load(h + (h_offsets + k))
            b = tl.load(w + (w_offsets + k))
        else:
            a = tl.load(h + (h_offsets + k), mask=steps < dim - k, other=0.0)
            b = tl.load(w + (w_offsets + k), mask=steps < dim - k, other=0.0)
        if UPCAST:
            a, b = a.to(tl.float32), b.to(tl.float32)
        total = tl.dot(a, tl.trans(b), total, input_precision=PRECISION)
    return total


@triton.jit  # type: ignore[untyped-decorator]
def _described(
    h: tl.tensor,
    w: tl.tensor,
    first: tl.int32,
    low: tl.int32,
    dim: tl.int32,
    UPCAST: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
) -> tl.tensor:
    """The same products by tensor descriptors, which read zeros beyond an edge."""
    total = tl.full((ROWS, COLUMNS), 0.0, tl.float32)
    for k in range(0, dim, STEP):
        a, b = h.load([first, k]), w.load([low, k])
        if UPCAST:
            a, b = a.to(tl.float32), b.to(tl.float32)
        total = tl.dot(a, tl.trans(b), total, input_precision=PRECISION)
    return total


@triton.jit  # type: ignore[untyped-decorator]
def _fold(
    x: tl.tensor,
    to_log2: tl.float32,
    m: tl.tensor,
    reference: tl.tensor,
    s: tl.tensor,
    u: tl.tensor,
    q: tl.tensor,
    ENTROPY: tl.constexpr,
    SUM_P2: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Merge one tile of logits into the state; `reference` is ``m * to_log2``, rounded."""
    m = tl.maximum(m, tl.max(x, 1))
    # As an fma this product cannot be fused, unrounded, into the differences from it.
    moved = tl.fma(m, to_log2, 0.0)
    gap = reference - moved
    shrink = tl.exp2(gap)
    z = tl.fma(x, to_log2, -moved[:, None])
    p = tl.exp2(z)
    if ENTROPY:
        u = shrink * (u + s * gap) + tl.sum(p * z, 1)
    if SUM_P2:
        q = shrink * shrink * q + tl.sum(p * p, 1)
    s = shrink * s + tl.sum(p, 1)
    return m, moved, s, u, q


@triton.jit  # type: ignore[untyped-decorator]
def shape(x: tl.tensor, pre: tl.float32, SHAPE: tl.constexpr) -> tl.tensor:
    """Logits up to their last factor, from products with the bias added."""
    if SHAPE != "plain":
        x = x * pre
    if SHAPE == "softcap":  # tanh without libdevice, and without an overflow
        t = tl.exp2(tl.abs(x) * -2.8853900817779268)
        y = (1.0 - t) / (1.0 + t)
        x = tl.where(x < 0, -y, y)
    return x


@triton.jit  # type: ignore[untyped-decorator]
def _absorb(
    x: tl.tensor,
    low: tl.int32,
    given: tl.tuple,
    state: tl.tuple,
    BIAS: tl.constexpr,
    SHAPE: tl.constexpr,
    ENTROPY: tl.constexpr,
    SUM_P2: tl.constexpr,
    RANK: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Merge the products with the words from `low` on into the state."""
    bias, target, x_target, vocab, pre, to_log2 = given
    m, reference, s, u, q, above = state
    words = low + tl.arange(0, x.shape[1])
    if BIAS:
        x += tl.load(bias + words, mask=words < vocab, other=0.0).to(tl.float32)[None, :]
    x = shape(x, pre, SHAPE)
    x = tl.where((words < vocab)[None, :] & (words[None, :] != target[:, None]), x, LOWEST)
    if RANK:
        above += tl.sum((x > x_target[:, None]).to(tl.int32), 1)
    m, reference, s, u, q = _fold(x, to_log2, m, reference, s, u, q, ENTROPY, SUM_P2)
    return m, reference, s, u, q, above


@triton.jit  # type: ignore[untyped-decorator]
def _store(
    out: tl.tensor,
    field: tl.int64,
    inside: tl.tensor,
    m: tl.tensor,
    s: tl.tensor,
    u: tl.tensor,
    q: tl.tensor,
    above: tl.tensor,
    ENTROPY: tl.constexpr,
    SUM_P2: tl.constexpr,
    RANK: tl.constexpr,
) -> None:
    """Write the fields that were asked for, each `field` elements after the one before."""
    tl.store(out, m, mask=inside)
    tl.store(out + field, s, mask=inside)
    if ENTROPY:
        tl.store(out + 2 * field, u, mask=inside)
    if SUM_P2:
        tl.store(out + (2 + ENTROPY) * field, q, mask=inside)
    if RANK:
        tl.store(out + (2 + ENTROPY + SUM_P2) * field, above.to(tl.float32), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def target_kernel(
    h: tl.tensor,
    w: tl.tensor,
    bias: tl.tensor,
    targets: tl.tensor,
    out: tl.tensor,
    n: tl.int32,
    dim: tl.int32,
    pre: tl.float32,
    BIAS: tl.constexpr,
    SHAPE: tl.constexpr,  # "plain", "scale" (by `pre`) or "softcap" (which has a scale too)
    EVEN: tl.constexpr,
    UPCAST: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
) -> None:
    """Logit of each row's target, the diagonal of a tile whose columns are gathered."""
    own: tl.constexpr = min(ROWS, COLUMNS)
    first = tl.program_id(0) * own
    i, j = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    words = tl.load(targets + tl.minimum(first + j, n - 1))
    h_rows = tl.minimum(first + i, n - 1).to(tl.int64) * dim
    w_rows = words * dim
    x = multiply(h, h_rows, w, w_rows, dim, EVEN, UPCAST, PRECISION, ROWS, COLUMNS, STEP)
    if BIAS:
        x += tl.load(bias + words).to(tl.float32)[None, :]
    x = shape(x, pre, SHAPE)
    diagonal = tl.sum(tl.where(i[:, None] == j[None, :], x, 0.0), 1)
    tl.store(out + first + i, diagonal, mask=(i < own) & (first + i < n))


@triton.jit  # type: ignore[untyped-decorator]
def scan_kernel(
    h: tl.tensor,
    w: tl.tensor,
    bias: tl.tensor,
    targets: tl.tensor,
    target_logits: tl.tensor,
    out: tl.tensor,
    n: tl.int32,
    vocab: tl.int32,
    dim: tl.int32,
    span: tl.int32,
    pre: tl.float32,
    to_log2: tl.float32,
    BIAS: tl.constexpr,
    SHAPE: tl.constexpr,  # "plain", "scale" (by `pre`) or "softcap" (which has a scale too)
    ENTROPY: tl.constexpr,
    SUM_P2: tl.constexpr,
    RANK: tl.constexpr,
    DESCRIPTORS: tl.constexpr,
    SPECIALISED: tl.constexpr,
    HALVES: tl.constexpr,
    EVEN: tl.constexpr,
    UPCAST: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
) -> None:
    """Leave-one-out state of ROWS tokens over `span` words, into `out` (fields, splits, n)."""
    # Tokens fastest: programs that run together share their tiles of W in the L2 cache.
    tiles = (n + ROWS - 1) // ROWS
    first, split = (tl.program_id(0) % tiles) * ROWS, tl.program_id(0) // tiles
    rows = first + tl.arange(0, ROWS)
    target = tl.load(targets + rows, mask=rows < n, other=-1).to(tl.int32)
    x_target = tl.load(target_logits + rows, mask=rows < n, other=0.0)
    m, s = tl.full((ROWS,), FLOOR, tl.float32), tl.full((ROWS,), 0.0, tl.float32)
    u, q, above = s, s, tl.full((ROWS,), 0, tl.int32)
    reference = tl.fma(m, to_log2, 0.0)  # as in `_fold`, to the last bit
    given, state = (bias, target, x_target, vocab, pre, to_log2), (m, reference, s, u, q, above)
    end = tl.minimum(split * span + span, vocab)
    if SPECIALISED:  # of descriptors, the compiler divides among its groups only those made here
        h = tl.make_tensor_descriptor(h, [n, dim], [dim, 1], [ROWS, STEP])
        w = tl.make_tensor_descriptor(w, [vocab, dim], [dim, 1], [COLUMNS, STEP])
    for low in tl.range(split * span, end, COLUMNS, warp_specialize=SPECIALISED):
        if DESCRIPTORS:
            x = _described(h, w, first, low, dim, UPCAST, PRECISION, ROWS, COLUMNS, STEP)
        else:
            # 64 bits in the bases only: offsets in a tile fit in 32, and registers are scarce.
            a, b = h + first.to(tl.int64) * dim, w + tl.cast(low, tl.int64) * dim
            i = tl.minimum(tl.arange(0, ROWS), n - 1 - first) * dim
            j = tl.minimum(tl.arange(0, COLUMNS), vocab - 1 - low) * dim
            x = multiply(a, i, b, j, dim, EVEN, UPCAST, PRECISION, ROWS, COLUMNS, STEP)
        if HALVES:
            left, right = tl.split(tl.permute(tl.reshape(x, (ROWS, 2, COLUMNS // 2)), (0, 2, 1)))
            state = _absorb(left, low, given, state, BIAS, SHAPE, ENTROPY, SUM_P2, RANK)
            x, low = right, low + COLUMNS // 2
        state = _absorb(x, low, given, state, BIAS, SHAPE, ENTROPY, SUM_P2, RANK)
    m, _, s, u, q, above = state
    out, field = out + split.to(tl.int64) * n + rows, (tl.num_programs(0) // tiles).to(tl.int64) * n
    _store(out, field, rows < n, m, s, u, q, above, ENTROPY, SUM_P2, RANK)
