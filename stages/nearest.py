"""The nearest rows by a measure (`stages.measures`), among all rows or among some.

faiss proposes more rows than are wanted; then their nearness is computed again, in double precision
and each on its own, rounded to fp32, and of equally near ones the row in front comes first.

The result is the exact one. By the last digits of fp32 products faiss may propose the one or the
other of rows that are nearly as near. Where a row that was not proposed might still be as near as
the last one that is taken, given the rounding error of the products, the row is compared with all
others in double precision. Where many rows have one vector that is so for all of them: they are
looked for as one (`stages.copies`).

Threads take different rows, each with one thread of faiss: several on the same small matrix would
mostly wait for each other.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from .measures import Measure

SPARE = 8  # proposed beside those that are wanted
AT_ONCE = 1024  # rows whose neighbours are looked for; bounds memory, no result
COMPARED = 1 << 24  # pairs in double precision at a time; likewise

T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """Neighbours, best first.

    Attributes:
        places: (rows, k) int32, -1 where there are no more.
        similarity: (rows, k) float32 by the measure, such as cosines, -inf likewise.
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
        measure: of all rows.
        places: (some,) of these rows, rising.
        theirs: (some, numbers) their vectors.
    """

    measure: Measure
    places: np.ndarray
    theirs: np.ndarray

    def nearest(self, rows: np.ndarray, k: int) -> Found:
        """Return the k nearest to each row of some, which are among them, never the row itself.

        Args:
            rows: (rows,) places, `AT_ONCE` at most; this takes 8 bytes for each and k.
            k: how many.
        """
        import faiss  # heavy, and only the process that fits needs it

        n, own = len(self.places), self.measure.vectors[rows]
        width, metric = min(k + 1 + SPARE, n), getattr(faiss, self.measure.metric)
        computed, proposed = faiss.knn(own, self.theirs, width, metric=metric)
        best = _ranked(self.measure, rows, self.places[proposed], k)
        if width < n:
            missing = self.measure.may_miss(rows, best.similarity[:, -1], computed[:, -1])
            self._compare_with_all(rows, np.flatnonzero(missing), best)
        return best

    def _compare_with_all(self, rows: np.ndarray, unsure: np.ndarray, best: Found) -> None:
        """Put the exact neighbours of the unsure rows into what was found."""
        k, at_once = best.places.shape[1], max(COMPARED // len(self.places), 1)
        for start in range(0, len(unsure), at_once):
            some = unsure[start : start + at_once]
            candidates = self.measure.of_all(rows[some], self.places, k)
            for place, near in zip(some, candidates, strict=True):
                proposed = self.places[near][None]
                best.put(
                    slice(place, place + 1),
                    _ranked(self.measure, rows[place : place + 1], proposed, k),
                )


def nearest_of_all(measure: Measure, rows: np.ndarray, k: int, threads: int = 1) -> Found:
    """Return the k nearest of all rows to some of them, never the row itself.

    Args:
        measure: of all rows.
        rows: (rows,) their places.
        k: how many.
        threads: take so many rows at a time; changes nothing.
    """
    vectors, found = measure.vectors, nobody(len(rows), k)
    among = Among(measure, np.arange(len(vectors)), vectors)

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


def nobody(rows: int, k: int) -> Found:
    """Return a place for k neighbours of each row, with none there."""
    return Found(np.full((rows, k), -1, np.int32), np.full((rows, k), -np.inf, np.float32))


def _ranked(measure: Measure, rows: np.ndarray, proposed: np.ndarray, k: int) -> Found:
    """The best k of the proposed rows; -1 proposes nobody."""
    similarity = measure.of_pairs(rows, proposed)
    similarity[(proposed < 0) | (proposed == rows[:, None])] = -np.inf
    order = np.lexsort((proposed, -similarity), axis=-1)[:, :k]
    found, width = nobody(len(rows), k), order.shape[1]
    found.similarity[:, :width] = np.take_along_axis(similarity, order, 1)
    found.places[:, :width] = np.take_along_axis(proposed, order, 1)
    found.places[np.isneginf(found.similarity)] = -1
    return found
