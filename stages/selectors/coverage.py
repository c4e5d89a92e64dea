"""Lazy greedy maximisation of what a choice of rows covers.

    f(S) = sum over rows i of copies_i max(0, max over s in S of sim(i, s))

A row's gain, what it would add to f, only falls as others are chosen (f is submodular). So a gain
computed earlier is an upper bound, and only the row with the highest bound is looked at again
(Minoux 1978): the choice is that of the plain greedy procedure. Gains are compared as fp32; of
equal ones the row in front is taken.
"""

import heapq
from typing import Protocol

import numpy as np

from .graph import Graph
from .queries import Spending

NUMBERS = 1 << 22  # similarities at a time; bounds memory, no result
HELD = 1 << 24  # similarities that are kept, 12 bytes each; likewise
FEW = 4  # one in so many rows


class Coverage(Protocol):
    """What is covered by the rows taken so far."""

    at_once: int
    """How many gains are computed as fast as one."""

    def gains(self, rows: np.ndarray) -> np.ndarray:
        """Return what each of some rows would add, (rows,) float64."""
        ...

    def all_gains(self) -> np.ndarray:
        """Return the same of all rows."""
        ...

    def take(self, row: int) -> None:
        """Choose a row."""
        ...


class GraphCoverage:
    """By the edges of a neighbour graph, in both directions; rows without an edge: similarity 0.

    A row is as similar to itself as can be: 1. Memory: about 100 bytes per edge of the lists while
    the edges are turned round, 24 after that.

    Args:
        graph: of all rows that were read.
        rows: (rows,) places of those that count, one for each content, by sample_id.
        copies: (rows,) how many rows there are of each.
    """

    at_once = 1

    def __init__(self, graph: Graph, rows: np.ndarray, copies: np.ndarray) -> None:
        from scipy import sparse  # not needed by other selectors

        n, places = len(rows), graph.place[rows]
        counts = graph.starts[rows + 1] - graph.starts[rows]
        source = np.repeat(np.arange(n), counts)
        first = np.repeat(graph.starts[rows] - np.cumsum(counts) + counts, counts)
        edge = first + np.arange(len(source))
        target = np.searchsorted(places, graph.neighbours[edge]) if n else source
        similar = graph.similarity[edge]
        there = target < n
        there[there] = places[target[there]] == graph.neighbours[edge[there]]
        there &= similar > 0
        edges = (source[there], target[there])
        one_way = sparse.csr_matrix((similar[there].astype(np.float64), edges), shape=(n, n))
        both = one_way.maximum(one_way.T).tocsr()
        both.sort_indices()
        self._starts, self._near, self._similar = both.indptr, both.indices, both.data
        self._copies, self._covered = copies.astype(np.float64), np.zeros(n)

    def gains(self, rows: np.ndarray) -> np.ndarray:
        """Return what each of some rows would add, (rows,) float64."""
        return np.array([self._gain(row) for row in rows.tolist()])

    def all_gains(self) -> np.ndarray:
        """Return the same of all rows."""
        return self.gains(np.arange(len(self._covered)))

    def take(self, row: int) -> None:
        """Choose a row."""
        near, similar = self._edges(row)
        self._covered[near] = np.maximum(self._covered[near], similar)
        self._covered[row] = 1.0

    def _gain(self, row: int) -> float:
        near, similar = self._edges(row)
        more = np.maximum(similar - self._covered[near], 0)
        own = self._copies[row] * (1 - self._covered[row])
        return float(own + (self._copies[near] * more).sum())

    def _edges(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        own = slice(self._starts[row], self._starts[row + 1])
        return self._near[own], self._similar[own]


class VectorCoverage:
    """By all pairs of vectors, whose similarities are computed when they are needed.

    Only rows that a row is more like than what covers them add to its gain, and they get fewer with
    every row taken. Once they are few, their similarities are held (up to 200 MB in all), and the
    gain is computed from these alone; before, each time from all vectors.

    Args:
        vectors: (rows, numbers) float64, of length 1 for cosines.
        copies: (rows,) how many rows there are of each.
        euclidean: exp(-distance / numbers) in place of the product.
    """

    at_once = 32

    def __init__(self, vectors: np.ndarray, copies: np.ndarray, euclidean: bool) -> None:
        self._vectors, self._euclidean = vectors, euclidean
        self._squares = np.square(vectors).sum(1)
        self._copies, self._covered = copies.astype(np.float64), np.zeros(len(vectors))
        self._held: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._n_held = 0

    def gains(self, rows: np.ndarray) -> np.ndarray:
        """Return what each of some rows would add, (rows,) float64."""
        gained = np.empty(len(rows))
        held = np.array([row in self._held for row in rows.tolist()], dtype=bool)
        for place in np.flatnonzero(held).tolist():
            gained[place] = self._gain_of_held(int(rows[place]))
        if not held.all():
            similar = self._similar(rows[~held])
            more = np.maximum(similar - self._covered[:, None], 0)
            gained[~held] = self._copies @ more
            few = np.flatnonzero(np.count_nonzero(more, axis=0) * FEW <= len(more))
            for place, row in zip(few.tolist(), rows[~held][few].tolist(), strict=True):
                self._hold(row, np.flatnonzero(more[:, place]), similar[:, place])
        return gained

    def all_gains(self) -> np.ndarray:
        """Return the same of all rows."""
        n = len(self._vectors)
        at_once = max(NUMBERS // max(n, 1), 1)
        starts = range(0, n, at_once)
        blocks = [self.gains(np.arange(start, min(start + at_once, n))) for start in starts]
        return np.concatenate([np.empty(0), *blocks])

    def take(self, row: int) -> None:
        """Choose a row."""
        self._covered = np.maximum(self._covered, self._similar(np.array([row]))[:, 0])

    def _hold(self, row: int, near: np.ndarray, similar: np.ndarray) -> None:
        if self._n_held + len(near) <= HELD:
            self._held[row] = near.astype(np.int32), similar[near]
            self._n_held += len(near)

    def _gain_of_held(self, row: int) -> float:
        near, similar = self._held[row]
        more = similar - self._covered[near]
        above = more > 0
        if np.count_nonzero(above) * 2 < len(near):
            self._held[row] = near[above], similar[above]
            self._n_held -= len(near) - len(self._held[row][0])
        return float(self._copies[near[above]] @ more[above])

    def _similar(self, rows: np.ndarray) -> np.ndarray:
        products: np.ndarray = self._vectors @ self._vectors[rows].T
        if not self._euclidean:
            return products
        both = self._squares[:, None] + self._squares[rows]
        apart = both - 2 * products
        apart[apart < 1e-12 * both] = 0  # equal rows, but for rounding
        similar: np.ndarray = np.exp(-np.sqrt(apart) / max(self._vectors.shape[1], 1))
        return similar


def lazy_greedy(
    coverage: Coverage, share: float, bonus: np.ndarray, spending: Spending
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows chosen in turn, and what each row adds.

    Args:
        coverage: of no row yet.
        share: what its gains are multiplied with.
        bonus: (rows,) what a row adds whatever else is chosen.
        spending: of the rows; one more than it affords is chosen.

    Returns:
        (chosen,) places, and (rows,) float32 gains: of a chosen row when it was chosen, of another
        row at the end.
    """

    def added(rows: np.ndarray) -> list[float]:
        gains = share * coverage.gains(rows) + bonus[rows]
        return gains.astype(np.float32).tolist()  # type: ignore[no-any-return]

    first = (share * coverage.all_gains() + bonus).astype(np.float32)
    bounds = [(-gain, row) for row, gain in enumerate(first.tolist())]
    heapq.heapify(bounds)
    seen = np.zeros(len(bonus), np.int64)  # how many were chosen when a gain was computed
    picks: list[int] = []
    values: list[float] = []
    while bounds:
        if seen[bounds[0][1]] == len(picks):
            gain, row = heapq.heappop(bounds)
            picks.append(row)
            values.append(-gain)
            coverage.take(row)
            if not spending.spend(row):
                break
            continue
        stale: list[int] = []
        while bounds and len(stale) < coverage.at_once and seen[bounds[0][1]] < len(picks):
            stale.append(heapq.heappop(bounds)[1])
        seen[stale] = len(picks)
        for gain, row in zip(added(np.array(stale)), stale, strict=True):
            heapq.heappush(bounds, (-gain, row))
    worth = (share * coverage.all_gains() + bonus).astype(np.float32)
    chosen = np.array(picks, dtype=np.int64)
    worth[chosen] = values
    return chosen, worth
