"""Per-token Jensen-Shannon divergence of two language models, without the logits of either.

Two passes over tiles of ``tokens x vocab``: the log-sum-exp of each model, then both products
again, now with ``r = log q - log p`` known for every word. The divergence is a sum of terms that
are each non-negative, zero where ``p = q``, and at most ``ln 2 * (p + q) / 2``:

    JSD = sum (p + q) / 2 * h(T)        T = tanh(|r| / 2) = |p - q| / (p + q)
    h(T) = log(1 + T) - (1 - T) |r| / 2 = T^2 / 2 + T^4 / 12 + T^6 / 30 + ...

Nothing is subtracted from anything large and no ``p log(p / m)`` is formed, which is NaN once
``p`` underflows. ``h`` has zero slope at ``p = q``: an error ``e`` in either log-sum-exp shifts
every ``r`` by ``e``, and so the result by ``e^2 / 8 + e * sum (p r) / 4`` where ``sum (p r)`` is
itself about ``-4 JSD``: only second-order terms. The usual ``sum p log(p / m)`` takes ``e`` in
full, and in fp32 is noise below a divergence of 1e-4.

What remains is the rounding of the logits themselves, about 1e-6 each. It averages out over
many words; where few words hold the probability and the models nearly agree on them, the
products of those words are made again in fp64: a handful for each token.

Own derivation, from the definition of J. Lin, "Divergence measures based on the Shannon
entropy", IEEE Transactions on Information Theory 37 (1991).
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .backend import Backend
from .logits import (
    MASKED,
    LMHead,
    exact_products,
    logits_tile,
    row_blocks,
    shape_logits,
    tile_columns,
)
from .token_stats import token_stats

LN2 = math.log(2)
MOST = float.fromhex("0x1.62e42ep-1")  # fp32 next below ln 2: the nearest one is above it
CLOSE = 0.35  # |r| below which the series is the more exact form; its next term is then < 2e-8
HEAVY = 0.003  # probability from which on a word's rounding alone can be seen in the sum
PIECE_ROWS = 64  # of a tile at once in the term-wise part, so that its buffers stay in cache
PICKS = 256  # fp64 products at once


@dataclass(frozen=True)
class Side:
    """One of the two models, or what belongs to one tile of it.

    Attributes:
        hidden: (rows, dim).
        head: with weight (columns, dim).
        lse: (rows,) fp32, over the whole vocabulary.
    """

    hidden: Tensor
    head: LMHead
    lse: Tensor

    def columns(self, low: int, high: int) -> "Side":
        """The words [low, high), their weight in fp32."""
        head = self.head.words(low, high)
        return replace(self, head=replace(head, weight=head.weight.float()))

    def rows(self, first: int, last: int) -> "Side":
        """The tokens [first, last)."""
        return replace(self, hidden=self.hidden[first:last], lse=self.lse[first:last])


@torch.no_grad()
def jensen_shannon(
    hidden_p: Tensor,
    head_p: LMHead,
    hidden_q: Tensor,
    head_q: LMHead,
    vocab: int | None = None,
    backend: Backend = "torch",
) -> Tensor:
    """Return the divergence of two models' next-token distributions at each position.

    The two vocabularies are one, up to padding at the end: a word that only the larger head has
    has probability 0 in the other model.

    Args:
        hidden_p: (tokens, dim_p) hidden states of the first model, fp32, bf16 or fp16.
        head_p: LM head of the first model, weight (vocab_p, dim_p).
        hidden_q: (tokens, dim_q) hidden states of the second model at the same positions.
        head_q: LM head of the second model, weight (vocab_q, dim_q).
        vocab: number of real words: later rows of either head are left out of its distribution.
            None keeps them all.
        backend: torch, or triton on an NVIDIA GPU.

    Returns:
        (tokens,) fp32, nats, in [0, ln 2]; symmetric in the two models, and exactly 0 for the
        same model twice. NaN exactly in rows with hidden states or logits that overflow or are
        NaN. Down to 1e-5 the relative error is at most 1e-4 while logits stay within 30; it grows
        with the size that all of them have in common (2e-4 at -100, 1e-3 at -300), which their
        fp32 rounding does.

    Raises:
        ValueError: shapes or a `vocab` that do not fit; the message holds them.
    """
    if backend == "triton":
        from .divergence_triton import jensen_shannon_triton  # a compiler, which few runs need

        return jensen_shannon_triton(hidden_p, head_p, hidden_q, head_q, vocab)
    head_p, head_q = checked(hidden_p, head_p, hidden_q, head_q, vocab)
    p = Side(hidden_p, head_p, _log_sum_exp(hidden_p, head_p))
    q = Side(hidden_q, head_q, _log_sum_exp(hidden_q, head_q))
    return bounded(_sum_terms(p, q), p, q)


def bounded(total: Tensor, p: Side, q: Side) -> Tensor:
    """The sums of all terms (tokens,) as the result: at most ln 2, NaN without distributions."""
    # Where all logits are -inf, the Triton kernel's log-sum-exp is near MASKED.
    known = torch.isfinite(p.lse + q.lse) & (torch.minimum(p.lse, q.lse) > MASKED / 4)
    return total.float().clamp_(max=MOST).masked_fill_(~known, math.nan)


def checked(
    hidden_p: Tensor, head_p: LMHead, hidden_q: Tensor, head_q: LMHead, vocab: int | None
) -> tuple[LMHead, LMHead]:
    """Return the heads limited to `vocab` words, or raise ValueError with what does not fit."""
    heads = []
    for name, hidden, head in (("p", hidden_p, head_p), ("q", hidden_q, head_q)):
        try:
            heads.append(head.checked())
        except ValueError as error:
            raise ValueError(f"head of {name}: {error}") from error
        if hidden.ndim != 2 or hidden.shape[1] != head.weight.shape[1]:
            raise ValueError(
                f"hidden_{name} must be (tokens, dim) and its weight (vocab, dim) with the same "
                f"dim; got {tuple(hidden.shape)} and {tuple(head.weight.shape)}"
            )
    head_p, head_q = heads
    if len(hidden_p) != len(hidden_q):
        raise ValueError(
            f"both models need the same positions; got {len(hidden_p)} and {len(hidden_q)}"
        )
    sizes = len(head_p.weight), len(head_q.weight)
    if vocab is None:
        return head_p, head_q
    if not 1 <= vocab <= max(sizes):
        raise ValueError(f"vocab must lie in [1, {max(sizes)}]; got {vocab}")
    return head_p.words(0, vocab), head_q.words(0, vocab)


def _log_sum_exp(hidden: Tensor, head: LMHead) -> Tensor:
    """(tokens,) log-sum-exp of the logits; the targets it is computed with do not matter."""
    targets = torch.zeros(len(hidden), dtype=torch.int64, device=hidden.device)
    return token_stats(hidden, head, targets, ("lse",))["lse"]


def _sum_terms(p: Side, q: Side) -> Tensor:
    """The second pass: vocabulary outside, so that each weight is read once."""
    n, device = len(p.hidden), p.hidden.device
    total = torch.zeros(n, device=device)
    vocab = max(len(p.head.weight), len(q.head.weight))
    n_columns = min(vocab, tile_columns(p.head), tile_columns(q.head))
    blocks = [row_blocks(side.hidden) for side in (p, q)]
    largest = max((len(block) for _, block in blocks[0]), default=0)
    buffers = [torch.empty(largest * n_columns, device=device) for _ in (p, q)]
    for low in range(0, vocab, n_columns):
        sides = [(side, side.columns(low, low + n_columns)) for side in (p, q)]
        for (rows, block_p), (_, block_q) in zip(*blocks, strict=True):
            tiles, logits = [], []
            for (side, columns), block, buffer in zip(
                sides, (block_p, block_q), buffers, strict=True
            ):
                tile = columns.rows(rows.start, rows.stop)
                with exact_products(side.hidden, side.head):
                    z = logits_tile(block, tile.head.weight, tile.head, slice(None), buffer)
                tiles.append(tile)
                logits.append(z[: rows.stop - rows.start])
            total[rows] += _tile_sums(tiles[0], tiles[1], logits[0], logits[1])
    return total


def _tile_sums(p: Side, q: Side, z_p: Tensor, z_q: Tensor) -> Tensor:
    """(rows,) sums of the terms of one tile; both tiles of logits are overwritten.

    Columns that only one tile has are words that the other model does not know: with q = 0
    there, T = 1 and the term is p / 2 * ln 2.
    """
    n_rows, shared = len(z_p), min(z_p.shape[1], z_q.shape[1])
    sums = torch.zeros(n_rows, device=z_p.device)
    for side, z in ((p, z_p), (q, z_q)):
        if z.shape[1] > shared:
            sums += (z[:, shared:] - side.lse[:, None]).exp_().sum(1) * (LN2 / 2)
    if shared == 0:
        return sums
    for first in range(0, n_rows, PIECE_ROWS):
        last = min(first + PIECE_ROWS, n_rows)
        piece_p, piece_q = p.rows(first, last), q.rows(first, last)
        largest, half = z_p[first:last, :shared], z_q[first:last, :shared]
        found = terms(largest, half, piece_p.lse[:, None], piece_q.lse[:, None])
        heavy = ((largest > HEAVY) & (half < CLOSE / 2)).nonzero()
        for start in range(0, len(heavy), PICKS):
            rows, columns = heavy[start : start + PICKS].unbind(1)
            found[rows, columns] = pair_terms(piece_p, piece_q, rows, columns).float()
        sums[first:last] += found.sum(1)
    return sums


def terms(z_p: Tensor, z_q: Tensor, lse_p: Tensor, lse_q: Tensor) -> Tensor:
    """Terms of the divergence; `z_p` becomes max(p, q) and `z_q` becomes |r| / 2.

    ``r`` is the difference of the logits less that of the log-sum-exps: for close models the
    first is exact, and both are small, where ``log p`` itself would be rounded.
    """
    r = z_q.sub_(z_p).sub_(lse_q - lse_p)
    largest = z_p.sub_(lse_p).add_(r.clamp_min(0)).exp_()
    half = r.abs_().mul_(0.5)
    t = half.tanh()
    square = t * t
    series = (square * (1 / 56)).add_(1 / 30).mul_(square).add_(1 / 12).mul_(square).add_(0.5)
    series.mul_(square)
    far = torch.log1p(t, out=square).sub_((1 - t).mul_(half))
    h = torch.where(half < CLOSE / 2, series, far)
    return h.mul_(largest).div_(t.add_(1))  # (p + q) / 2 = max(p, q) / (1 + T)


def pair_terms(p: Side, q: Side, rows: Tensor, columns: Tensor) -> Tensor:
    """Return terms of single words at single positions, from products in fp64.

    Args:
        p: one model.
        q: the other.
        rows: (pairs,) int64, rows of both hidden states.
        columns: (pairs,) int64, rows of both weights.

    Returns:
        (pairs,) fp64, nats.
    """
    z_p, z_q = (_pair_logits(side, rows, columns) for side in (p, q))
    return terms(z_p, z_q, p.lse[rows], q.lse[rows])


def _pair_logits(side: Side, rows: Tensor, columns: Tensor) -> Tensor:
    """(pairs,) logits in fp64 of single words at single positions."""
    products = torch.linalg.vecdot(side.hidden[rows].double(), side.head.weight[columns].double())
    if side.head.bias is not None:
        products += side.head.bias[columns]
    return shape_logits(products, side.head)
