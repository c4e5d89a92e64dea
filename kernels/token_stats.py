"""Per-token statistics of a language model's next-token distribution, without the logits.

From hidden states ``H (tokens, dim)`` and the LM head ``W (vocab, dim)`` in one pass over tiles
of ``tokens x vocab``. For each token only a *leave-one-out* state over all columns ``v`` except
its target ``t`` is kept, with ``m`` the running maximum of the logits ``z``:

    s = sum exp(z_v - m)        u = sum exp(z_v - m) (z_v - m)        q = sum exp(2 (z_v - m))

so that the loss ``softplus(m + log s - z_t)`` keeps its relative accuracy down to 1e-30 (the
usual ``logsumexp - z_t`` is noise below 1e-6) and is never negative, and the top-1 hit
``z_t >= m`` is exact. The entropy uses the moment shifted by the maximum, which in fp32 is an
order more exact than ``sum p z``. All results are fp32, whatever the dtype of the inputs.

A token whose target is `IGNORED` is left out before any work. A row whose hidden states or logits
are infinite or NaN gives NaN, rank -1 and no hit: never a number that could be taken for one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .backend import Backend
from .logits import (
    DTYPES,
    LEAST_ROWS,
    MASKED,
    LMHead,
    Precision,
    exact_products,
    logits_tile,
    multiplied,
    row_blocks,
    shape_logits,
    tile_columns,
)

STATS = ("loss", "lse", "entropy", "rank", "top1", "max_prob", "sum_p2")

IGNORED = -100  # a target that asks for nothing, as in cross-entropy elsewhere


@dataclass
class State:
    """Leave-one-out state per token; each tensor is (tokens,) fp32."""

    target: Tensor  # logit of the target
    m: Tensor
    s: Tensor
    u: Tensor | None = None
    q: Tensor | None = None
    above: Tensor | None = None  # logits strictly larger than the target's


@torch.no_grad()
def token_stats(
    hidden: Tensor,
    head: LMHead,
    targets: Tensor,
    stats: Sequence[str] = ("loss",),
    backend: Backend = "torch",
    precision: Precision = "exact",
) -> dict[str, Tensor]:
    """Return the wanted statistics of the next-token distribution at each position.

    Args:
        hidden: (tokens, dim) hidden states that predict `targets`, fp32, bf16 or fp16.
        head: the LM head; its weight is (vocab, dim).
        targets: (tokens,) int64 in [0, vocab), or `IGNORED`.
        stats: names out of `STATS`; what is not asked for is not computed.
            loss: -log p(target), nats. lse: log-sum-exp of the logits, nats. entropy: nats.
            rank: number of logits strictly larger than the target's, int32. top1: rank == 0, bool.
            max_prob: largest probability. sum_p2: sum of squared probabilities.
        backend: torch, or triton on an NVIDIA GPU.
        precision: of the products, see `logits`. Against fp64 the loss is off by at most
            4e-6 max(1, largest logit) if exact; if fast, for bf16 on a CPU, by 4e-2 at most and
            4e-3 on average at dim 768 and losses up to 20, and a third of the ranks change.

    Returns:
        One (tokens,) tensor for each name; fp32 unless said otherwise. NaN, rank -1 and False for
        ignored tokens, and for rows with a hidden state or logit that is infinite or NaN. Ties: a
        logit equal to the target's does not count against it. The target's own comes from another
        product of the same kind; where a library sums the two in another order, logits that differ
        by no more than rounding can count either way.

    Raises:
        ValueError: shapes, dtypes, names or targets that do not fit; the message holds them.
    """
    stats, head = tuple(stats), head.checked()
    if backend not in ("torch", "triton") or precision not in ("exact", "fast"):
        raise ValueError(
            f"backend must be torch or triton and precision exact or fast; "
            f"got {backend!r} and {precision!r}"
        )
    lowest = check(hidden, head, targets, stats)
    if lowest == IGNORED:
        live = targets != IGNORED  # copies the others' hidden states, once
        found = token_stats(hidden[live], head, targets[live], stats, backend, precision)
        return {name: _spread(values, live) for name, values in found.items()}
    if backend == "triton":
        from .token_stats_triton import token_stats_triton  # a compiler, which few runs need

        found = token_stats_triton(hidden, head, targets, stats, precision)
    else:
        found = finish(_scan(hidden, head, targets, stats, precision), stats)
    if head.softcap is not None:  # it would make a number even of infinity
        finite = torch.isfinite(hidden).all(1)
        found = {n: values.masked_fill(~finite, _blank(values)) for n, values in found.items()}
    return found


def check(hidden: Tensor, head: LMHead, targets: Tensor, stats: Sequence[str]) -> int:
    """Return the lowest target, 0 if there is none.

    Raises:
        ValueError: an argument does not fit; it says which, and how.
    """
    weight = head.weight
    if hidden.ndim != 2 or hidden.shape[1] != weight.shape[1]:
        raise ValueError(
            f"hidden must be (tokens, dim) and weight (vocab, dim) with the same dim; "
            f"got {tuple(hidden.shape)} and {tuple(weight.shape)}"
        )
    if targets.shape != hidden.shape[:1] or targets.dtype != torch.int64:
        raise ValueError(
            f"targets must be int64 of shape {tuple(hidden.shape[:1])}; "
            f"got {targets.dtype} of shape {tuple(targets.shape)}"
        )
    if hidden.dtype not in DTYPES or weight.dtype not in DTYPES:
        raise ValueError(f"dtypes must be fp32, bf16 or fp16; got {hidden.dtype}, {weight.dtype}")
    unknown = [name for name in stats if name not in STATS]
    if unknown:
        raise ValueError(f"unknown statistics {unknown}; allowed: {', '.join(STATS)}")
    if not len(targets):
        return 0
    low, high = torch.stack(targets.aminmax()).tolist()  # one wait for the GPU
    if high >= len(weight) or (low < 0 and low != IGNORED) or _between(low, targets):
        raise ValueError(
            f"targets must lie in [0, {len(weight)}), or be {IGNORED} to be ignored; "
            f"got {low} to {high}"
        )
    return int(low)


def _between(low: int, targets: Tensor) -> bool:
    """Whether a target is negative and is not the one that asks for nothing."""
    return low == IGNORED and bool(((targets < 0) & (targets != IGNORED)).any())


def _spread(values: Tensor, live: Tensor) -> Tensor:
    """Put the values at the places where `live` is True; elsewhere stands that there is none."""
    everywhere = values.new_full(live.shape, _blank(values))
    everywhere[live] = values
    return everywhere


def _blank(values: Tensor) -> float:
    """What stands where there is no value: NaN, rank -1, no hit."""
    if values.dtype == torch.bool:
        return False
    return float("nan") if values.is_floating_point() else -1


def _scan(
    hidden: Tensor, head: LMHead, targets: Tensor, stats: Sequence[str], precision: Precision
) -> State:
    """Fold every tile of logits into the state: vocabulary outside, so W is read once."""
    n_columns = min(tile_columns(head), len(head.weight))
    blocks = row_blocks(hidden)
    buffer = torch.empty(
        max((len(b) for _, b in blocks), default=0) * n_columns, device=hidden.device
    )
    with exact_products(hidden, head):
        state = _start(hidden, head, targets, stats, precision)
        for low in range(0, len(head.weight), n_columns):
            columns = slice(low, low + n_columns)
            weight = multiplied(head.weight[columns], hidden, precision)
            for rows, block in blocks:
                z = logits_tile(block, weight, head, columns, buffer)[: rows.stop - rows.start]
                _fold(z, targets[rows] - low, state, rows)
    return state


def _start(
    hidden: Tensor, head: LMHead, targets: Tensor, stats: Sequence[str], precision: Precision
) -> State:
    n, device = len(hidden), hidden.device
    wants = set(stats)

    def zeros(*names: str) -> Tensor | None:
        return torch.zeros(n, device=device) if wants & set(names) else None

    return State(
        target=_target_logits(hidden, head, targets, precision),
        m=torch.full((n,), MASKED, device=device),
        s=torch.zeros(n, device=device),
        u=zeros("entropy"),
        q=zeros("sum_p2"),
        above=zeros("rank"),
    )


def _target_logits(hidden: Tensor, head: LMHead, targets: Tensor, precision: Precision) -> Tensor:
    """Logit of each token's target, by a matrix product like those of all others.

    The diagonal of a small product costs little, and unlike a row-wise dot its sums run in the
    same order as those of the tiles, as far as the library sums all matrix products alike.
    """
    logits = torch.empty(len(hidden), device=hidden.device)
    for first in range(0, len(hidden), 256):
        rows = slice(first, min(first + 256, len(hidden)))
        words, n = targets[rows], rows.stop - rows.start
        padding = (0, 0, 0, max(0, LEAST_ROWS - n))
        weight = multiplied(functional.pad(head.weight[words], padding), hidden, precision)
        product = (functional.pad(hidden[rows], padding).to(weight.dtype) @ weight.T).float()
        product = product[:n, :n]
        if head.bias is not None:
            product += head.bias[words]
        logits[rows] = shape_logits(product, head).diagonal()
    return logits


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
    finite = torch.isfinite(state.m) & torch.isfinite(state.s) & torch.isfinite(state.target)
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
    return {name: values.masked_fill(~finite, _blank(values)) for name, values in found.items()}
