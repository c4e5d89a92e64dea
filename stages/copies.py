"""Points with the same vector are looked for as one, and their neighbours spread to all of them.

The k nearest rows of a row lie among those of its own vector and of the k vectors that are nearest
to it, vectors in the order of their first rows: each of these k has a row in front of any row of a
vector beyond them. So what comes out is what a search among all rows would find.
"""

from dataclasses import dataclass

import numpy as np
import xxhash

from .nearest import Found, nobody

ROWS_AT_ONCE = 1024  # bounds memory, no result
SPREAD_AT_ONCE = 1 << 22  # candidates; likewise


@dataclass(frozen=True)
class Copies:
    """Which rows have the same vector.

    Attributes:
        first: (vectors,) the first row of each, rising.
        group: (rows,) the vector of each row, as a place in `first`.
    """

    first: np.ndarray
    group: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray) -> "Copies":
        """Return which of (rows, numbers) have the same numbers, by a hash of their bits."""
        hashes = np.array([xxhash.xxh3_128_digest(vector) for vector in vectors], "V16")
        _, first, member = np.unique(hashes, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        return cls(first[order], rank[member.ravel()])

    def without(self, vectors: np.ndarray) -> np.ndarray:
        """Return one vector of each, moved to the front of where they are: in no memory more."""
        for low in range(0, len(self.first), ROWS_AT_ONCE):
            some = self.first[low : low + ROWS_AT_ONCE]  # no row is moved backwards
            vectors[low : low + len(some)] = vectors[some]
        return vectors[: len(self.first)]

    def spread(self, found: Found, same: float) -> Found:
        """Return the neighbours of every row.

        Args:
            found: of the vectors, k for each.
            same: how near rows of the same vector are.
        """
        k = found.places.shape[1]
        if len(self.first) == len(self.group):
            return found
        order = np.argsort(self.group, kind="stable").astype(np.int32)  # rows by vector, rising
        sizes = np.bincount(self.group)
        starts, best = np.cumsum(sizes) - sizes, nobody(len(sizes), k + 1)
        at_once = max(SPREAD_AT_ONCE // (k + 1) ** 2, 1)
        for low in range(0, len(sizes), at_once):
            some = slice(low, low + at_once)
            own = np.arange(len(sizes))[some, None]
            near = np.hstack([own, found.places[some]])
            likeness = np.hstack([np.full(own.shape, same, np.float32), found.similarity[some]])
            taken = np.where(near >= 0, np.minimum(sizes[near], k + 1), 0)
            best.put(some, _first_of(order, starts[near], taken, likeness))
        result = nobody(len(self.group), k)
        for low in range(0, len(self.group), at_once):
            block = slice(low, low + at_once)
            theirs = best.of(self.group[block])
            itself = theirs.places == np.arange(len(self.group))[block, None]
            kept = np.argsort(itself, axis=1, kind="stable")[:, :k]  # all but the row itself
            places, likeness = (
                np.take_along_axis(each, kept, 1) for each in (theirs.places, theirs.similarity)
            )
            result.put(block, Found(places, likeness))
        return result


def _first_of(
    order: np.ndarray, starts: np.ndarray, taken: np.ndarray, likeness: np.ndarray
) -> Found:
    """The best rows of some vectors each, as many as there are vectors: nearest, then in front.

    Args:
        order: rows by vector.
        starts: (some, vectors) where in `order` the rows of a vector begin.
        taken: (some, vectors) how many of them are looked at.
        likeness: (some, vectors) how near they are.
    """
    some, width = starts.shape
    counts = taken.ravel()
    step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = order[np.repeat(starts.ravel(), counts) + step]
    alike = np.repeat(likeness.ravel(), counts)
    owner = np.repeat(np.arange(some), taken.sum(1))
    best = np.lexsort((rows, -alike, owner))
    rank = np.arange(len(best)) - np.searchsorted(owner, np.arange(some))[owner]
    kept = rank < width
    found = nobody(some, width)
    to = owner[kept], rank[kept]
    found.places[to], found.similarity[to] = rows[best[kept]], alike[best[kept]]
    return found
