"""The nearest rows by cosine, among all rows or among some.

faiss proposes more rows than are wanted; then their cosines are computed again, in double precision
and each on its own, rounded to fp32, and of equal ones the row in front comes first.

The result is the exact one. By the last digits of fp32 products faiss may propose the one or the
other of rows that are nearly as near. Where a row that was not proposed might still be as near as
the last one that is taken, given the rounding error of the products, the row is compared with all
others in double precision. Of n numbers that error is taken to be at most 8 sqrt(n) 2^-24 (Higham
and Mary 2019: larger ones have a probability of next to nothing).

Threads take different rows, each with one thread of faiss: several on the same small matrix would
mostly wait for each other.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

SPARE = 8  # proposed beside those that are wanted
AT_ONCE = 1024  # rows whose neighbours are looked for; bounds memory, no result
NUMBERS = 1 << 22  # in double precision at a time; likewise

T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """Neighbours, best first.

    Attributes:
        places: (rows, k) int32, -1 where there are no more.
        similarity: (rows, k) float32 cosines, -inf likewise.
    """

    places: np.ndarray
    similarity: np.ndarray

    def of(self, rows: slice | np.ndarray) -> "Found":
        """Return the neighbours of some rows."""
        return Found(self.places[rows], self.similarity[rows])

    def put(self, rows: slice | np.ndarray, others: "Found") -> None:
        """Write the neighbours of some rows in."""
        self.places[rows], self.similarity[rows] = others.places, others.similarity


@dataclass(frozen=True)
class Among:
    """The rows that others are compared with.

    Attributes:
        vectors: (all rows, numbers) float32 of length 1.
        lengths: (all rows,) float64, as `lengths_of` has them.
        places: (some,) of these rows, rising.
        theirs: (some, numbers) their vectors.
    """

    vectors: np.ndarray
    lengths: np.ndarray
    places: np.ndarray
    theirs: np.ndarray

    def nearest(self, rows: np.ndarray, k: int) -> Found:
        """Return the k nearest to each row of some, which are among them, never the row itself.

        Args:
            rows: (rows,) places, `AT_ONCE` at most; this takes 8 bytes for each and k.
            k: how many.
        """
        import faiss  # heavy, and only the process that fits needs it

        n, numbers = self.theirs.shape
        width, error = min(k + 1 + SPARE, n), 8 * np.sqrt(numbers) * 2.0**-24
        products, proposed = faiss.knn(
            self.vectors[rows], self.theirs, width, metric=faiss.METRIC_INNER_PRODUCT
        )
        best = _ranked(self.vectors, self.lengths, rows, self.places[proposed], k)
        if width < n:
            unsure = np.flatnonzero(best.similarity[:, -1] <= products[:, -1] + error)
            self._compare_with_all(rows, unsure, best)
        return best

    def _compare_with_all(self, rows: np.ndarray, unsure: np.ndarray, best: Found) -> None:
        """Put the exact neighbours of the unsure rows into what was found."""
        n, k = len(self.places), best.places.shape[1]
        lengths, at_once = self.lengths[self.places], max(8 * NUMBERS // n, 1)
        for start in range(0, len(unsure), at_once):
            some = unsure[start : start + at_once]
            own = self.vectors[rows[some]].astype(np.float64)
            products = np.empty((len(some), n))
            for first in range(0, n, AT_ONCE):
                block = slice(first, first + AT_ONCE)
                products[:, block] = own @ self.theirs[block].astype(np.float64).T / lengths[block]
            products /= self.lengths[rows[some]][:, None]
            # the row itself is one of them, and not the last; and what fp32 makes equal
            least = np.partition(products, n - k - 1, axis=1)[:, n - k - 1] - 2e-7
            for place, bound, own_products in zip(some, least, products, strict=True):
                near = self.places[own_products >= bound][None]
                one = _ranked(self.vectors, self.lengths, rows[place : place + 1], near, k)
                best.places[place], best.similarity[place] = one.places[0], one.similarity[0]


def nearest_of_all(vectors: np.ndarray, rows: np.ndarray, k: int, threads: int = 1) -> Found:
    """Return the k nearest of all rows to some of them, never the row itself.

    Args:
        vectors: (all rows, numbers) float32 of length 1; beside them this takes 16 bytes per row.
        rows: (rows,) their places.
        k: how many.
        threads: take so many rows at a time; changes nothing.
    """
    among = Among(vectors, lengths_of(vectors), np.arange(len(vectors)), vectors)
    found = nobody(len(rows), k)

    def search(start: int) -> None:
        block = slice(start, start + AT_ONCE)
        found.put(block, among.nearest(rows[block], k))

    side_by_side(search, range(0, len(rows), AT_ONCE), threads)
    return found


def side_by_side(work: Callable[[T], None], blocks: Iterable[T], threads: int) -> None:
    """Do the work for each block, so many at a time, each with one thread of faiss.

    Few rows are multiplied as a matrix, too, where faiss would take them one by one.
    """
    import faiss  # heavy, and only the process that fits needs it

    before = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = 1
    try:
        with ThreadPoolExecutor(
            threads, initializer=faiss.omp_set_num_threads, initargs=(1,)
        ) as pool:
            for _ in pool.map(work, blocks):
                pass  # an error is raised here
    finally:
        faiss.cvar.distance_compute_blas_threshold = before


def recall_of(found: Found, exact: Found) -> float:
    """Return the share of the exact neighbours that were found, 1 where there are none.

    A row as near as the last exact neighbour counts as one.
    """
    wanted = exact.places >= 0
    if not wanted.any():
        return 1.0
    last = np.where(wanted, exact.similarity, np.inf).min(1, initial=np.inf)
    hits = (found.places >= 0) & (found.similarity >= last[:, None])
    return float(np.minimum(hits.sum(1), wanted.sum(1)).sum() / wanted.sum())


def cosines(
    vectors: np.ndarray, lengths: np.ndarray, rows: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """Return the cosine of each row with its others, (rows, others) float32.

    Args:
        vectors: (all rows, numbers) float32.
        lengths: (all rows,) float64.
        rows: (rows,) places.
        others: (rows, others) places of others; of a negative one the cosine means nothing.
    """
    cosine = np.empty(others.shape, np.float32)
    at_once = max(NUMBERS // max(others.shape[1] * vectors.shape[1], 1), 1)
    for start in range(0, len(rows), at_once):
        some, to = rows[start : start + at_once], slice(start, start + at_once)
        products = vectors[others[to]].astype(np.float64)
        products *= vectors[some].astype(np.float64)[:, None]
        cosine[to] = products.sum(-1) / (lengths[some][:, None] * lengths[others[to]])
    return cosine


def lengths_of(vectors: np.ndarray) -> np.ndarray:
    """Return the length of each vector, summed as `cosines` does: equal ones have the cosine 1."""
    at_once = max(NUMBERS // max(vectors.shape[1], 1), 1)
    blocks = [
        np.square(vectors[start : start + at_once].astype(np.float64)).sum(-1)
        for start in range(0, len(vectors), at_once)
    ]
    lengths: np.ndarray = np.sqrt(np.concatenate([np.empty(0), *blocks]))
    return lengths


def nobody(rows: int, k: int) -> Found:
    """Return a place for k neighbours of each row, with none there."""
    return Found(np.full((rows, k), -1, np.int32), np.full((rows, k), -np.inf, np.float32))


def _ranked(
    vectors: np.ndarray, lengths: np.ndarray, rows: np.ndarray, proposed: np.ndarray, k: int
) -> Found:
    """The best k of the proposed rows; -1 proposes nobody."""
    similarity = cosines(vectors, lengths, rows, proposed)
    similarity[(proposed < 0) | (proposed == rows[:, None])] = -np.inf
    order = np.lexsort((proposed, -similarity), axis=-1)[:, :k]
    found, width = nobody(len(rows), k), order.shape[1]
    found.similarity[:, :width] = np.take_along_axis(similarity, order, 1)
    found.places[:, :width] = np.take_along_axis(proposed, order, 1)
    found.places[np.isneginf(found.similarity)] = -1
    return found
