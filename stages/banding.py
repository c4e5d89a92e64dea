"""Rows that share a band of their signatures, and which of them are alike by the signatures."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .grams import mix
from .grouping import buckets

Links = tuple[np.ndarray, np.ndarray]  # rows on the left, and the row on the right of each


@dataclass(frozen=True)
class Bands:
    """The bands of all rows.

    Attributes:
        keys: (bands,) uint64; rows with one in common are candidates.
        owner: (bands,) int32, the row that has each.
    """

    keys: np.ndarray
    owner: np.ndarray

    def links(self) -> Links:
        """Return links that hold all rows with a band in common together, as few as it takes."""
        order, starts = buckets(self.keys)
        behind = np.ones(len(order), dtype=bool)
        behind[starts[:-1]] = False
        at = np.flatnonzero(behind)
        return self.owner[order[at - 1]], self.owner[order[at]]

    def shared(self) -> Iterator[np.ndarray]:
        """Yield the rows of each band that several share, rising; the same rows only once."""
        order, starts = buckets(self.keys)
        owner, sizes = self.owner[order], np.diff(starts)
        there = np.flatnonzero(sizes > 1)
        if not len(there):
            return
        sums = np.add.reduceat(mix(owner.astype(np.uint64) + np.uint64(1)), starts[:-1])
        _, first = np.unique(
            np.stack([sums[there], sizes[there].astype(np.uint64)]), axis=1, return_index=True
        )
        for bucket in there[np.sort(first)].tolist():
            yield np.sort(owner[starts[bucket] : starts[bucket + 1]])


def alike(rows: np.ndarray, signatures: np.ndarray, threshold: float) -> Links:
    """Return links that hold rows together whose signatures are alike.

    A row that is reached is compared with all that are not reached yet, so that many rows that are
    all alike take one pass, and n rows of which no two are alike n^2 / 2 comparisons.

    Args:
        rows: (n,) the rows.
        signatures: (n, places) of them.
        threshold: the least share of equal places.
    """
    left, right = list[int](), list[np.ndarray]()
    alone, reached = np.arange(len(rows)), list[int]()
    while len(alone):
        if not reached:
            reached, alone = [int(alone[0])], alone[1:]
        one = reached.pop()
        near = agreement(signatures[alone], signatures[one]) >= threshold
        left += [int(rows[one])] * int(near.sum())
        right.append(rows[alone[near]])
        reached += alone[near].tolist()
        alone = alone[~near]
    return np.array(left, np.int64), np.concatenate([np.empty(0, np.int64), *right])


def agreement(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the share of places in which signatures agree, (rows,) float64."""
    share: np.ndarray = (one == other).mean(1)
    return share
