"""Per-token statistics of a language model's next-token distribution, without the logits.

From hidden states ``H (tokens, dim)`` and the LM head ``W (vocab, dim)`` in one pass over tiles
of ``tokens x vocab``. For each token only a *leave-one-out* state over all columns ``v`` except
its target ``t`` is kept, with ``m`` the running maximum of the logits ``z``:

    s = sum exp(z_v - m)        u = sum exp(z_v - m) (z_v - m)        q = sum exp(2 (z_v - m))

so that the loss ``softplus(m + log s - z_t)`` keeps its relative accuracy down to 1e-30 (the
usual ``logsumexp - z_t`` is noise below 1e-6) and is never negative, and the top-1 hit
``z_t >= m`` is exact. The entropy uses the moment shifted by the maximum, which in fp32 is an
order more exact than ``sum p z``. All results are fp32, whatever the dtype of the inputs.

For bf16 inputs on a CPU the product runs in bf16 hardware with fp32 accumulation *and fp32
results*: both operands hold bf16 values, so nothing is rounded on the way in or out.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .backend import Backend

STATS = ("loss", "lse", "entropy", "rank", "top1", "max_prob", "sum_p2")

TILE_ROWS = 512
TILE_VOCAB = 2048
UPCAST_BYTES = 16 << 20  # of one fp32 copy of a tile of W, when W is stored in half precision
MASKED = -1e30  # finite: -inf would give inf - inf


@dataclass(frozen=True)
class LMHead:
    """How hidden states become logits: ``softcap(scale * (H W' + bias)) / temperature``.

    Attributes:
        weight: (vocab, dim), fp32, bf16 or fp16.
        bias: (vocab,) or None.
        scale: multiplies the product (Cohere's logit_scale, the inverse of Granite's scaling).
        softcap: logits become ``softcap * tanh(z / softcap)`` (Gemma 2); None for none.
        temperature: divides the logits.
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None
    temperature: float = 1.0


@dataclass
class State:
    """Leave-one-out state per token; each tensor is (tokens,) fp32."""

    target: Tensor  # logit of the target
    m: Tensor
    s: Tensor
    u: Tensor | None = None
    q: Tensor | None = None
    above: Tensor | None = None  # logits strictly larger than the target's
    products: Tensor | None = field(default=None, repr=False)  # (TILE_ROWS, TILE_VOCAB) buffer


def token_stats(
    hidden: Tensor,
    head: LMHead,
    targets: Tensor,
    stats: Sequence[str] = ("loss",),
    backend: Backend = "torch",
) -> dict[str, Tensor]:
    """Return the wanted statistics of the next-token distribution at each position.

    Args:
        hidden: (tokens, dim) hidden states that predict `targets`, fp32, bf16 or fp16.
        head: the LM head; its weight is (vocab, dim).
        targets: (tokens,) int64 in [0, vocab).
        stats: names out of `STATS`; what is not asked for is not computed.
            loss: -log p(target), nats. lse: log-sum-exp of the logits, nats. entropy: nats.
            rank: number of logits strictly larger than the target's, int32. top1: rank == 0, bool.
            max_prob: largest probability. sum_p2: sum of squared probabilities.
        backend: torch, or triton on an NVIDIA GPU.

    Returns:
        One (tokens,) tensor for each name; fp32 unless said otherwise.

    Raises:
        ValueError: shapes, dtypes, names or targets that do not fit; the message holds them.
    """
    if backend == "triton":
        from .token_stats_triton import token_stats_triton  # a compiler, which few runs need

        return token_stats_triton(hidden, head, targets, stats)
    check(hidden, head, targets, stats)
    state = _scan(hidden, head, targets, stats)
    return finish(state, stats)


def check(hidden: Tensor, head: LMHead, targets: Tensor, stats: Sequence[str]) -> None:
    """Raise a ValueError that says which argument does not fit, and how."""
    weight = head.weight
    if hidden.ndim != 2 or weight.ndim != 2 or hidden.shape[1] != weight.shape[1]:
        raise ValueError(
            f"hidden must be (tokens, dim) and weight (vocab, dim) with the same dim; "
            f"got {tuple(hidden.shape)} and {tuple(weight.shape)}"
        )
    if targets.shape != hidden.shape[:1] or targets.dtype != torch.int64:
        raise ValueError(
            f"targets must be int64 of shape {tuple(hidden.shape[:1])}; "
            f"got {targets.dtype} of shape {tuple(targets.shape)}"
        )
    if head.bias is not None and head.bias.shape != weight.shape[:1]:
        raise ValueError(f"bias must be ({len(weight)},); got {tuple(head.bias.shape)}")
    if head.temperature <= 0:
        raise ValueError(f"temperature must be positive; got {head.temperature}")
    unknown = [name for name in stats if name not in STATS]
    if unknown:
        raise ValueError(f"unknown statistics {unknown}; allowed: {', '.join(STATS)}")
    if len(targets) and (int(targets.min()) < 0 or int(targets.max()) >= len(weight)):
        raise ValueError(
            f"targets must lie in [0, {len(weight)}); "
            f"got {int(targets.min())} to {int(targets.max())}"
        )


def _scan(hidden: Tensor, head: LMHead, targets: Tensor, stats: Sequence[str]) -> State:
    """Fold every tile of logits into the state: vocabulary outside, so W is read once."""
    vocab, dim = head.weight.shape
    n_columns = min(TILE_VOCAB, vocab)
    if head.weight.dtype != torch.float32:
        n_columns = min(n_columns, max(256, UPCAST_BYTES // (4 * dim)))
    with exact_products(hidden, head):
        state = _start(hidden, head, targets, stats)
        for low in range(0, vocab, n_columns):
            columns = slice(low, min(low + n_columns, vocab))
            weight = head.weight[columns].float()
            for first in range(0, len(hidden), TILE_ROWS):
                rows = slice(first, first + TILE_ROWS)
                z = logits_tile(hidden[rows], weight, head, columns, state.products)
                _fold(z, targets[rows] - low, state, rows)
    return state


def _start(hidden: Tensor, head: LMHead, targets: Tensor, stats: Sequence[str]) -> State:
    n, device = len(hidden), hidden.device
    wants = set(stats)

    def zeros(*names: str) -> Tensor | None:
        return torch.zeros(n, device=device) if wants & set(names) else None

    state = State(
        target=_target_logits(hidden, head, targets),
        m=torch.full((n,), MASKED, device=device),
        s=torch.zeros(n, device=device),
        u=zeros("entropy"),
        q=zeros("sum_p2"),
        above=zeros("rank"),
    )
    tile = min(n, TILE_ROWS), min(len(head.weight), TILE_VOCAB)
    state.products = torch.empty(tile[0] * tile[1], device=device)
    return state


def _target_logits(hidden: Tensor, head: LMHead, targets: Tensor) -> Tensor:
    """Logit of each token's target, by the same matrix product as all others.

    The diagonal of a small product costs little, and unlike a row-wise dot its sums run in the
    same order as those of the tiles, so that comparisons with other logits are not off by a bit.
    """
    logits = torch.empty(len(hidden), device=hidden.device)
    for first in range(0, len(hidden), 256):
        rows = slice(first, first + 256)
        weight = head.weight[targets[rows]].float()
        product = hidden[rows].float() @ weight.T
        if head.bias is not None:
            product += head.bias[targets[rows]]
        logits[rows] = shape_logits(product, head).diagonal()
    return logits


def logits_tile(
    hidden: Tensor, weight: Tensor, head: LMHead, columns: slice, buffer: Tensor | None
) -> Tensor:
    """One tile of logits (rows, columns), written into `buffer`."""
    assert buffer is not None
    out = buffer[: len(hidden) * len(weight)].view(len(hidden), len(weight))
    torch.mm(hidden.float(), weight.T, out=out)
    if head.bias is not None:
        out += head.bias[columns]
    return shape_logits(out, head)


def shape_logits(product: Tensor, head: LMHead) -> Tensor:
    """Scale, softcap and temperature, in place."""
    if head.scale != 1.0:
        product *= head.scale
    if head.softcap is not None:
        product.div_(head.softcap).tanh_().mul_(head.softcap)
    if head.temperature != 1.0:
        product /= head.temperature
    return product


def _fold(z: Tensor, local: Tensor, state: State, rows: slice) -> None:
    """Merge one tile of logits into the state of its rows; `z` is overwritten."""
    here = ((local >= 0) & (local < z.shape[1])).nonzero().squeeze(1)
    z[here, local[here]] = MASKED
    if state.above is not None:
        state.above[rows] += (z > state.target[rows, None]).sum(1)
    m = state.m[rows]
    m_new = torch.maximum(m, z.amax(1))
    shrink = torch.exp(m - m_new)
    z.sub_(m_new[:, None])
    if state.u is None:
        p = z.exp_()
    else:
        p = z.exp()
        moved = shrink * (state.u[rows] + state.s[rows] * (m - m_new))
        state.u[rows] = moved + torch.linalg.vecdot(p, z)
    if state.q is not None:
        state.q[rows] = shrink * shrink * state.q[rows] + torch.linalg.vecdot(p, p)
    state.s[rows] = shrink * state.s[rows] + p.sum(1)
    state.m[rows] = m_new


def finish(state: State, stats: Sequence[str]) -> dict[str, Tensor]:
    """Merge the target's own column into the leave-one-out state and read off the statistics."""
    rest = state.m + state.s.log()  # log-sum-exp of all other columns
    top = torch.maximum(state.m, state.target)
    shrink, p_target = torch.exp(state.m - top), torch.exp(state.target - top)
    total = shrink * state.s + p_target
    found: dict[str, Tensor] = {}
    for name in stats:
        if name == "loss":
            found[name] = torch.nn.functional.softplus(rest - state.target)
        elif name == "lse":
            found[name] = torch.logaddexp(rest, state.target)
        elif name == "entropy" and state.u is not None:
            moved = shrink * (state.u + state.s * (state.m - top))
            found[name] = total.log() - (moved + p_target * (state.target - top)) / total
        elif name == "rank" and state.above is not None:
            found[name] = state.above.to(torch.int32)
        elif name == "top1":
            found[name] = state.target >= state.m
        elif name == "max_prob":
            found[name] = total.reciprocal()
        elif name == "sum_p2" and state.q is not None:
            found[name] = (shrink * shrink * state.q + p_target * p_target) / (total * total)
    return found


@contextlib.contextmanager
def exact_products(hidden: Tensor, head: LMHead) -> Iterator[None]:
    """Let the CPU multiply fp32 copies of bf16 values in bf16 hardware: lossless and faster.

    The switch is global to the process, hence set only around these products.
    """
    lossless = hidden.dtype == head.weight.dtype == torch.bfloat16 and hidden.device.type == "cpu"
    if not lossless:
        yield
        return
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined] # made at import
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before
