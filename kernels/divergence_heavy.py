"""The few words that hold the probability, left by a fused kernel to products in fp64.

A kernel has no fp64 (on most GPUs it is slow), so it weighs each term with ``1 - share``, where
the share rises from 0 to 1 while max(p, q) goes from HEAVY / 2 to HEAVY, and marks where a share is
above 0. Here the terms of those words are made again and weighed with their share. Kernel and
torch round differently and so never agree on which words are heavy; but as the share is continuous,
a difference ``e`` of their logits makes them disagree by at most ``2 e`` of one term, and nothing
is lost or counted twice.

The marks take 16 bytes for each token and split, and are no list of words: two masks say which
tiles of the split and which columns of tiles hold one. Words where both fit are candidates: rarely
many more than there are heavy words, and those that are not heavy have a share of 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .divergence import HEAVY, Side, pair_terms

RISE = 2 / HEAVY  # share = max(p, q) * RISE - 1, within [0, 1]
TILES = 64  # bits for the tiles of a split; the tile after the last bit takes the first again

TOKENS = 2048  # looked at together: they have at most 2.7 million heavy words
LISTED = 1 << 14  # marked tiles whose columns are listed at once
PICK_BYTES = 1 << 22  # of fp64 copies of one operand: small ones stay in cache
PICK_BYTES_GPU = 1 << 26  # fewer, larger launches


@dataclass(frozen=True)
class Marks:
    """Where heavy words may be.

    Attributes:
        tiles: (splits, tokens) int64, bit ``t % TILES`` for tile t of the split.
        columns: (splits, tokens) int64, the union of the `patterns` of columns.
        span: words in a split.
        width: words in a tile, at most 128.
    """

    tiles: Tensor
    columns: Tensor
    span: int
    width: int


def patterns(width: int, device: torch.device) -> Tensor:
    """(width,) int64: the two bits of each column of a tile, which no other column has both of."""
    j = torch.arange(width, device=device)
    one = torch.ones_like(j)
    return (one << (j % 32)) | (one << (32 + j // 4 % 32))


def heavy_sums(p: Side, q: Side, marks: Marks) -> Tensor:
    """Return the sum of the shares of heavy words.

    The order of the sums is fixed: the same bits from run to run.

    Args:
        p: one model, whole: hidden (tokens, dim), weight (vocab, dim).
        q: the other.
        marks: of all their tokens.

    Returns:
        (tokens,) fp64, nats.
    """
    n, device = len(p.hidden), p.hidden.device
    total = torch.zeros(n, dtype=torch.float64, device=device)
    dim = max(p.hidden.shape[1], q.hidden.shape[1])
    size = PICK_BYTES if device.type == "cpu" else PICK_BYTES_GPU
    picks = max(1, size // (8 * max(dim, 1)))
    shared = min(len(p.head.weight), len(q.head.weight))
    for first in range(0, n, TOKENS):
        owners, values = [], []
        for rows, words in _candidates(marks, first, shared):
            for start in range(0, len(rows), picks):
                some = rows[start : start + picks]
                found, largest = pair_terms(p, q, some, words[start : start + picks])
                share = (largest * RISE - 1).clamp_(0, 1)
                real = share > 0
                owners.append(some[real] - first)
                values.append((found * share)[real])
        if values:
            part = total[first : first + TOKENS]
            part += _sums(torch.cat(owners), torch.cat(values), len(part))
    return total


def _candidates(marks: Marks, first: int, shared: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and words of candidates among TOKENS tokens, by rising rows; (pairs,) int64 each."""
    device, width = marks.tiles.device, marks.width
    tiles = marks.tiles[:, first : first + TOKENS].T
    bits = torch.arange(TILES, device=device)
    rows, splits, marked = ((tiles[..., None] >> bits) & 1).nonzero().unbind(1)
    rows += first
    pattern = patterns(width, device)
    laps = torch.arange(0, marks.span, TILES * width, device=device)
    for low in range(0, len(rows), LISTED):
        some = slice(low, low + LISTED)
        columns = marks.columns[splits[some], rows[some]]
        entries, column = ((columns[:, None] & pattern) == pattern).nonzero().unbind(1)
        entries += low
        local = (marked[entries] * width + column)[:, None] + laps
        words = splits[entries][:, None] * marks.span + local
        inside = (local < marks.span) & (words < shared)
        yield rows[entries][:, None].expand_as(words)[inside], words[inside]


def _sums(owners: Tensor, values: Tensor, n: int) -> Tensor:
    """(n,) sums of the values of each owner in [0, n), which rise; without atomics."""
    counts = owners.bincount(minlength=n)
    ranks = torch.arange(len(owners), device=owners.device) - (counts.cumsum(0) - counts)[owners]
    table = values.new_zeros(n, int(counts.max()))
    table[owners, ranks] = values
    return table.sum(1)
