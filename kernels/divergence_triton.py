"""`jensen_shannon` on NVIDIA GPUs (sm_80 on), by fused Triton kernels.

The log-sum-exps come from `token_stats_triton`. Then each program takes a tile of tokens and one
split of the vocabulary, makes the logits of both models in two accumulators, and keeps one sum per
token; the (S, tokens) sums are added by torch, with no atomics: the same bits from run to run.
With ``a = |r| / 2`` and ``w = exp(-|r|)`` a term of the sum is max(p, q) times

    exp(-a) a^2 (1/2 + a^4 / 144)                        for close probabilities
    (1 + w) log(2 / (1 + w)) / 2 - w a                   else

which is the form of `divergence` without its tanh; the first part of the second line is a
polynomial in w, because a logarithm would cost twice as many instructions. Words that hold much
probability are left to products in fp64: `divergence_heavy` says how they are found.
"""

from dataclasses import replace

import torch
import triton
import triton.language as tl
from torch import Tensor

from .backend import CompileCase, choose, interpreting
from .divergence import CLOSE, Side, bounded, checked
from .divergence_heavy import RISE, TILES, Marks, heavy_sums
from .tiles import INTERPRETED, Tile, choose_splits
from .token_stats import MASKED, LMHead
from .token_stats_kernels import multiply, shape
from .token_stats_triton import LOG2_E, TYPES, capability_of, factors, token_stats_triton

LOWEST = tl.constexpr(MASKED)
TO_LOG2 = tl.constexpr(LOG2_E)
NEAR = tl.constexpr(CLOSE / 2)
FAR = tl.constexpr(100.0)  # of |r| / 2: beyond, w is 0 anyway and powers would overflow
STEEP, BITS = tl.constexpr(RISE), tl.constexpr(TILES)
ALL = tl.constexpr(tl.PropagateNan.ALL)  # else a row of NaN would look fine

# (1 + w) log(2 / (1 + w)) / 2 for w in [0, exp(-0.35)], lowest power first: least squares with
# weights that make the error of a whole term even, then rounded to fp32: 6e-7 of the term.
C0, C1 = tl.constexpr(0.3465735912322998), tl.constexpr(-0.1534275859594345)
C2, C3 = tl.constexpr(-0.24997177720069885), tl.constexpr(0.08305496722459793)
C4, C5 = tl.constexpr(-0.040227893739938736), tl.constexpr(0.020647823810577393)
C6, C7 = tl.constexpr(-0.008485701866447926), tl.constexpr(0.0018443595618009567)


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
        (tokens,) fp32, nats, in [0, ln 2].

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
    lses = [token_stats_triton(*side, none, ("lse",))["lse"] for side in sides]
    if not len(hidden_p):
        return lses[0]
    capability, multiprocessors = capability_of(hidden_p)
    if tile is None:
        operands = [tensor for hidden, head in sides for tensor in (hidden, head.weight)]
        itemsize = 4 if _upcast(*operands) else hidden_p.itemsize
        tile = INTERPRETED if interpreting() else choose_tile(itemsize, capability)
    words = max(len(head.weight) for _, head in sides)
    count, span = splits or choose_splits(len(hidden_p), words, tile, multiprocessors)
    parts = torch.empty(count, len(hidden_p), device=hidden_p.device)
    masks = torch.empty(2, count, len(hidden_p), dtype=torch.int64, device=hidden_p.device)
    p, q = (Side(*side, lse) for side, lse in zip(sides, lses, strict=True))
    with torch.cuda.device_of(hidden_p):  # type: ignore[no-untyped-call]
        _launch((p, q), parts, masks, span, tile)
    heavy = heavy_sums(p, q, Marks(masks[0], masks[1], span, tile.columns))
    return bounded(parts.sum(0, dtype=torch.float64) + heavy, p, q)


def choose_tile(itemsize: int, capability: int) -> Tile:
    """Return the tile: the largest of which two accumulators need no local stores."""
    small_shared = capability in (86, 87, 89) or capability >= 120
    if itemsize == 4:
        return Tile(128, 64, 16, 8, 2) if small_shared else Tile(128, 64, 32, 8, 3)
    if small_shared or capability >= 100:
        return Tile(128, 64, 32 if small_shared else 64, 8, 3)
    return Tile(128, 128, 32, 8, 3)


def _upcast(*tensors: Tensor) -> bool:
    """Whether operands become fp32; bf16 products are wrong in the interpreter."""
    dtypes = {tensor.dtype for tensor in tensors}
    return len(dtypes) > 1 or (interpreting() and torch.bfloat16 in dtypes)


def _launch(sides: tuple[Side, Side], parts: Tensor, masks: Tensor, span: int, tile: Tile) -> None:
    """Fill `parts` (splits, tokens) and `masks` (2, splits, tokens)."""
    shift = sides[1].lse - sides[0].lse
    arguments: dict[str, object] = {"shift": shift, "out": parts, "marks": masks, "span": span}
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
    grid = (triton.cdiv(parts.shape[1], tile.rows) * len(parts),)
    options = {"num_warps": tile.warps, "num_stages": tile.stages}
    even = all(side.hidden.shape[1] % tile.step == 0 for side in sides)
    upcast = _upcast(*(tensor for side in sides for tensor in (side.hidden, side.head.weight)))
    flags = _flags(tile, even, upcast)
    divergence_kernel[grid](n=parts.shape[1], **arguments, **flags, **options)


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
        _case(choose_tile(dtype.itemsize, capability), TYPES[dtype], on)
        for dtype in (torch.bfloat16, torch.float32)
        for on in (False, True)
    ]


def _case(tile: Tile, kind: str, on: bool) -> CompileCase:
    """The kernel with bias and softcap of both models, or with none of them."""
    signature = {"shift": "*fp32", "out": "*fp32", "marks": "*i64", "n": "i32", "span": "i32"}
    flags = _flags(tile, True, False)
    for name in "pq":
        signature |= {f"h_{name}": f"*{kind}", f"w_{name}": f"*{kind}", f"lse_{name}": "*fp32"}
        signature |= {f"vocab_{name}": "i32", f"dim_{name}": "i32"}
        signature |= {f"pre_{name}": "fp32", f"post_{name}": "fp32"}
        flags[f"CAPPED_{name.upper()}"] = on
        if on:
            signature[f"bias_{name}"] = f"*{kind}"
        else:
            flags[f"bias_{name}"] = None
    divisible = ("dim_p", "dim_q", "span")
    return CompileCase(divergence_kernel, signature, flags, tile.warps, tile.stages, divisible)


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
    z_p: tl.tensor, z_q: tl.tensor, lse_p: tl.tensor, lse_q: tl.tensor, between: tl.tensor
) -> tuple[tl.tensor, tl.tensor]:
    """Terms of the sum, and max(p, q); `between` is lse_q - lse_p."""
    a = tl.minimum(tl.abs(z_q - z_p - between) * 0.5, FAR, propagate_nan=ALL)
    largest = tl.exp2(tl.maximum(z_p - lse_p, z_q - lse_q, propagate_nan=ALL) * TO_LOG2)
    root = tl.exp2(a * -TO_LOG2)
    w = root * root
    square = a * a
    near = root * square * (0.5 + square * square * (1 / 144))
    far = C4 + w * (C5 + w * (C6 + w * C7))
    far = C0 + w * (C1 + w * (C2 + w * (C3 + w * far))) - w * a
    return largest * tl.where(a < NEAR, near, far), largest


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
    shift: tl.tensor,
    out: tl.tensor,
    marks: tl.tensor,
    n: tl.int32,
    vocab_p: tl.int32,
    vocab_q: tl.int32,
    dim_p: tl.int32,
    dim_q: tl.int32,
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
    """Sums of ROWS tokens over `span` words, into `out` (splits, n), without the heavy shares.

    `shift` is lse_q - lse_p; `marks` (2, splits, n) takes both masks of `divergence_heavy.Marks`.
    """
    tiles = (n + ROWS - 1) // ROWS
    first = (tl.program_id(0) % tiles) * ROWS
    split = tl.program_id(0) // tiles
    rows = first + tl.arange(0, ROWS)
    known = tl.minimum(rows, n - 1)  # rows beyond the last one repeat it, and are not stored
    level_p = tl.load(lse_p + known)[:, None]
    level_q = tl.load(lse_q + known)[:, None]
    between = tl.load(shift + known)[:, None]
    total = tl.full((ROWS,), 0.0, tl.float32)
    tile_bits, column_bits = tl.full((ROWS,), 0, tl.int64), tl.full((ROWS,), 0, tl.int64)
    bit = tl.full((), 1, tl.int64)
    j = tl.arange(0, COLUMNS)
    pattern = (bit << (j % 32).to(tl.int64)) | (bit << (32 + j // 4 % 32).to(tl.int64))
    shared = tl.minimum(vocab_p, vocab_q)
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
        terms, largest = _terms(z_p, z_q, level_p, level_q, between)
        rise = tl.where(low + j < shared, STEEP, 0.0)  # a word of one model alone is never heavy
        share = tl.minimum(tl.maximum(largest * rise[None, :] - 1.0, 0.0), 1.0)
        total += tl.sum(terms * (1.0 - share), 1)
        found = tl.reduce_or(tl.where(share > 0, pattern[None, :], 0), 1)
        column_bits |= found
        tile = (low - split * span) // COLUMNS
        tile_bits |= tl.where(found != 0, bit << (tile % BITS).to(tl.int64), 0)
    place = split.to(tl.int64) * n + rows
    tl.store(out + place, total, mask=rows < n)
    tl.store(marks + place, tile_bits, mask=rows < n)
    field = (tl.num_programs(0) // tiles).to(tl.int64) * n
    tl.store(marks + field + place, column_bits, mask=rows < n)
