"""Farthest first: each next row is the one that lies farthest from all that are chosen.

    next = argmax over rows of the distance to the nearest chosen row

the greedy 2-approximation of the k-center problem (Gonzalez 1985; for data selection Sener and
Savarese 2018, arXiv 1708.00489). The first row is the first by sample_id, which is a hash of the
content: arbitrary, but the same in any order. Distances are Euclidean, which between unit vectors
go by the cosine; of equal ones (as fp32) the first row by sample_id is taken.

The vectors are held in double precision, 8 bytes per row and number: 3 GB for 1 million of 384,
beside the columns as they are stored. A row chosen costs one pass over them.
"""

from typing import final

import numpy as np
import pyarrow as pa
from pydantic import field_validator

from ...scorers.features import Features, signal_column, there
from .base import Budget, Choice, Selector
from .queries import Spending
from .turns import in_turn
from .vectors import even, row_vectors


@final
class KCenter(Selector):
    """Keeps rows that lie far from each other, until the budget is spent."""

    of: str
    """The column of vectors by full name, such as `base.embedding` or `gradient.adam`."""
    weights: str | None = None
    """Of the checkpoints, such as `gradient.weights`: see `clusters`."""
    unit: bool = True
    """Set the vectors to length 1."""

    @field_validator("of", "weights")
    @classmethod
    def _of_a_signal(cls, name: str | None) -> str | None:
        return signal_column(name)

    @property
    def reads(self) -> pa.Schema:
        """The vectors and their status."""
        return self._features.reads

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order by turn, each worth its distance then; the others by their distance at the end."""
        rows = even(pool)
        vectors = row_vectors(pool, rows, self._features, self.unit)
        known = there(vectors)
        vectors = vectors if known.all() else vectors[known]  # no copy where there need be none
        usable = rows[known]
        turns = farthest_first(vectors, Spending.of(pool, usable, budget))
        return in_turn(pool, budget, usable, turns, self._features.status(pool))

    @property
    def _features(self) -> Features:
        return Features(self.of, self.weights, self.unit)


def farthest_first(vectors: np.ndarray, spending: Spending) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows chosen in turn, from the first on, and how far each row is.

    Args:
        vectors: (rows, numbers) float64.
        spending: of the rows; one more than it affords is chosen.

    Returns:
        (chosen,) places, and (rows,) float32 distances: of a chosen row to those before it,
        infinite for the first; of another row to all chosen.
    """
    squares = np.square(vectors).sum(1)
    far, worth = np.full(len(vectors), np.inf, np.float32), np.zeros(len(vectors), np.float32)
    picks: list[int] = []
    while len(picks) < len(vectors):
        row = int(far.argmax())
        worth[row], far[row] = far[row], -1
        picks.append(row)
        if not spending.spend(row):
            break
        both = squares + squares[row]
        apart = both - 2 * (vectors @ vectors[row])
        apart[apart < 1e-12 * both] = 0  # equal rows, but for rounding
        far = np.minimum(far, np.sqrt(apart).astype(np.float32))
    chosen = np.array(picks, dtype=np.int64)
    return chosen, np.where(np.isin(np.arange(len(vectors)), chosen), worth, far)
