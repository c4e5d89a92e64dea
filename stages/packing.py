"""Sequences to batches of like length within a token budget, and how much of it is padding."""

from collections.abc import Sequence

import numpy as np

LIKE = 0.92  # a batch takes sequences down to this share of its longest,
SMALL = 512  # or any as long as it has fewer tokens than this: tiny batches waste time as well


def pack(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return batches of indices, each of at most `budget` tokens with its padding.

    Sequences are sorted by length, longest first, and by place among equals; so the batches depend
    on the lengths alone. A sequence over the budget makes a batch by itself.

    Args:
        lengths: tokens of each sequence.
        budget: rows times the longest row of a batch.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    batches: list[list[int]] = []
    for i in order:
        if batches:
            longest, n = lengths[batches[-1][0]], len(batches[-1])
            alike = lengths[i] >= LIKE * longest or longest * n < SMALL
            if alike and longest * (n + 1) <= budget:
                batches[-1].append(i)
                continue
        batches.append([i])
    return batches


def pad(sequences: Sequence[Sequence[int] | np.ndarray], filler: int = 0) -> np.ndarray:
    """Return the sequences as one (rows, longest) int64 array, padded at the end.

    Causal attention never looks to the right, so padding at the end needs no mask.
    """
    longest = max(len(sequence) for sequence in sequences)
    padded = np.full((len(sequences), longest), filler, dtype=np.int64)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded
