"""How like a row is to those kept before it, for selectors that visit rows one after the other."""

from typing import Protocol

import numpy as np
import pyarrow as pa

from ...scorers.features import Features
from .graph import Graph
from .vectors import row_vectors

NOWHERE = -2.0  # of a row without a vector; less than any cosine
AT_ONCE = 256  # rows that are compared with the kept ones in one product; changes no result


class Kept(Protocol):
    """The rows kept so far; rows are asked after in turn."""

    def nearest(self, turn: int) -> float:
        """Return the largest cosine (as fp32) of a row to a kept one, -1 if there is none yet.

        `NOWHERE` for a row without a vector.
        """
        ...

    def keep(self, turn: int) -> None:
        """Keep the row that was asked after last."""
        ...


class KeptVectors:
    """By the vectors; those of kept rows are held.

    Args:
        pool: all rows.
        order: (turns,) their places in the pool.
        of: where the vectors are.
    """

    def __init__(self, pool: pa.Table, order: np.ndarray, of: Features) -> None:
        self._pool, self._order, self._of = pool, order, of
        self._kept: list[np.ndarray] = []
        self._start, self._end = 0, 0
        self._block, self._near = np.empty((0, 0)), np.empty(0)
        self._taken: list[int] = []

    def nearest(self, turn: int) -> float:
        """Return the largest cosine of a row to a kept one."""
        if turn >= self._end:
            self._advance(turn)
        return float(self._near[turn - self._start])

    def keep(self, turn: int) -> None:
        """Keep the row that was asked after last."""
        place = turn - self._start
        self._taken.append(place)
        # comparisons with NaN, of rows without a vector, leave NOWHERE as it is
        self._near = np.fmax(self._near, _rounded(self._block @ self._block[place]))

    def _advance(self, turn: int) -> None:
        if self._taken:
            self._kept.append(self._block[self._taken])
        self._start, self._end, self._taken = turn, turn + AT_ONCE, []
        rows = self._order[turn : turn + AT_ONCE]
        self._block = row_vectors(self._pool, rows, self._of, True)
        self._near = np.full(len(rows), NOWHERE)
        if not self._block.shape[1]:
            return
        self._near[~np.isnan(self._block[:, 0])] = -1.0
        for kept in self._kept:
            self._near = np.fmax(self._near, _rounded((self._block @ kept.T).max(1)))


class KeptPlaces:
    """By the edges of a neighbour graph, either way; rows without an edge have the cosine -1.

    Args:
        graph: of all rows.
        order: (turns,) their places in the pool.
    """

    def __init__(self, graph: Graph, order: np.ndarray) -> None:
        self._graph, self._order = graph, order
        places = np.concatenate([graph.place, graph.neighbours])
        size = int(places.max(initial=-1)) + 1
        self._near = np.full(size, -1.0)  # of each place, by the lists of kept rows
        self._kept = np.zeros(size, dtype=bool)

    def nearest(self, turn: int) -> float:
        """Return the largest cosine of a row to a kept one."""
        row = self._order[turn]
        place = self._graph.place[row]
        if place < 0:
            return NOWHERE
        others, similarity = self._graph.of(row)
        return float(max(self._near[place], similarity[self._kept[others]].max(initial=-1.0)))

    def keep(self, turn: int) -> None:
        """Keep the row that was asked after last."""
        row = self._order[turn]
        others, similarity = self._graph.of(row)
        place = self._graph.place[row]
        self._near[others] = np.maximum(self._near[others], similarity)
        self._near[place], self._kept[place] = 1.0, True


def _rounded(cosines: np.ndarray) -> np.ndarray:
    return cosines.astype(np.float32).astype(np.float64)
