"""The few words that hold the probability, left by a fused kernel to products in fp64.

A kernel has no fp64 (most GPUs are slow at it). It leaves the terms of words that are heavy and
close out of its sums and sets a bit for each: what it left out is what is added here, and nothing
depends on two roundings of one logit agreeing on which words these are.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from .divergence import Side, pair_terms

BITS = 32  # words in one number of the mask
LISTED = 1 << 16  # numbers of the mask unpacked at once
PICK_BYTES = 1 << 22  # of fp64 copies of one operand: small ones stay in cache
PICK_BYTES_GPU = 1 << 26  # fewer, larger launches


def heavy_sums(p: Side, q: Side, marks: Tensor) -> Tensor:
    """Return the sums of the terms of marked words, each made from products in fp64.

    The order of the sums is fixed: the same bits from run to run. A token has at most 475 words
    that are heavy and close, so the lists of them are small beside the mask.

    Args:
        p: one model: hidden (tokens, dim), weight (vocab, dim).
        q: the other.
        marks: (tokens, numbers) int32, word ``32 i + j`` at bit j of number i; words that both
            models have.

    Returns:
        (tokens,) fp64, nats.
    """
    cpu = marks.device.type == "cpu"
    dim = max(p.hidden.shape[1], q.hidden.shape[1], 1)
    picks = max(1, (PICK_BYTES if cpu else PICK_BYTES_GPU) // (8 * dim))
    owners, values = [], []
    for rows, words in _marked(marks):
        owners.append(rows)
        for start in range(0, len(rows), picks):
            some = slice(start, start + picks)
            values.append(pair_terms(p, q, rows[some], words[some]))
    if not values:
        return torch.zeros(len(marks), dtype=torch.float64, device=marks.device)
    return _sums(torch.cat(owners), torch.cat(values), len(marks))


def _marked(marks: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and words whose bits are set, by rising rows; (pairs,) int64 each."""
    bits = torch.arange(BITS, dtype=torch.int32, device=marks.device)
    numbers = marks.nonzero()
    for low in range(0, len(numbers), LISTED):
        rows, places = numbers[low : low + LISTED].unbind(1)
        entries, columns = ((marks[rows, places][:, None] >> bits) & 1).nonzero().unbind(1)
        yield rows[entries], places[entries] * BITS + columns


def _sums(owners: Tensor, values: Tensor, n: int) -> Tensor:
    """(n,) sums of the values of each owner in [0, n), which rise; without atomics."""
    counts = owners.bincount(minlength=n)
    ranks = torch.arange(len(owners), device=owners.device) - (counts.cumsum(0) - counts)[owners]
    table = values.new_zeros(n, int(counts.max()))
    table[owners, ranks] = values
    return table.sum(1)
