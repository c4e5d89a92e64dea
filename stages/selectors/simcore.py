"""SimCore: rounds in which every query takes the nearest row that is left, until they get too far.

Kim et al. 2023, arXiv 2303.11101. In a round each query takes its nearest row among those that no
round before took; two may take the same, which then counts once. The value of a round is the mean
of these similarities, over the queries. After round `patience` the rounds stop before the first
whose value is less than `stop` times that of round `patience`, and at `cap` rows per query: so the
budget, if it is not reached before, comes out by itself. A share of a value that is not above 0
means nothing: such a round `patience` has found no like rows any more, and is the last. Of a round
that does not fit the budget, rows are kept by a draw from a hash of seed and content.

The published queries are 100 centroids of the target, or all its rows if it has fewer. Here they
are the rows of the target: a large one is better given by a hundred of its rows. Numbers in memory:
rows x queries, as fp32.
"""

import logging
from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np
import pyarrow as pa
from pydantic import Field

from ...scorers.random import uniform
from .base import Budget, Choice, Selector
from .queries import QUERY_WORDS, Spending, Taken, choose, list_schema
from .vectors import even

log = logging.getLogger(__name__)

TOO_FAR = "after the last round"


@final
class SimCore(Selector):
    """Keeps the rows of all rounds before similarity falls off."""

    version: ClassVar[int] = 2
    words: ClassVar[Mapping[str, str]] = QUERY_WORDS | {
        TOO_FAR: "no example of the target came to it before the rounds stopped"
    }

    by: str
    """A list column with one similarity per query, such as `similarity.by_query`."""
    stop: float | None = Field(default=0.95, gt=0, le=1)
    """Of the value of round `patience`; null: go on until the budget is spent."""
    patience: int = Field(default=20, ge=1)
    cap: int = Field(default=50, ge=1)
    """Rows per query at most, where `stop` is given."""
    seed: int | None = None

    @property
    def reads(self) -> pa.Schema:
        """The numbers of the queries, and the score."""
        return list_schema(self.by)

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order by rounds; rows that no round took follow by their best number.

        The reason of a kept row says which query took it, by its place in the list from 0.
        """
        draws = uniform(self.seed or 0, pool["sample_id"])[even(pool)]

        def walk(values: np.ndarray, best: np.ndarray, spending: Spending, whole: bool) -> Taken:
            return self._walk(_Rounds(values, best), draws, spending)

        return choose(pool, self.by, budget, walk, TOO_FAR)

    def _walk(self, rounds: "_Rounds", draws: np.ndarray, spending: Spending) -> Taken:
        n, n_queries = rounds.values.shape
        most = n if self.stop is None else min(self.cap * n_queries, n)
        rows: list[int] = []
        takers: list[int] = []
        number, least = 0, -np.inf
        while len(rows) < most and least < np.inf:
            picked, value = rounds.next()
            if picked is None:
                return Taken(rows, takers, complete=False)
            number += 1
            if value < least:
                break
            if number == self.patience and self.stop is not None:
                least = self._least(value)
            for row in sorted(picked, key=lambda row: (-draws[row], row)):
                rows.append(row)
                takers.append(picked[row])
                if not spending.spend(row) or len(rows) == most:
                    return Taken(rows, takers, complete=True)
        return Taken(rows, takers, complete=True)

    def _least(self, value: float) -> float:
        """The least value of a round after that of `patience`."""
        assert self.stop is not None
        if value > 0:
            return self.stop * value
        log.warning(
            "simcore: round %d, by which the others are judged, has the value %.3g, which is not "
            "above 0, and so is the last; `stop: null` goes on until the budget is spent",
            self.patience,
            value,
        )
        return np.inf


class _Rounds:
    """What the queries take in each round.

    Args:
        values: (rows, queries).
        best: (queries, depth) places, best first.
    """

    def __init__(self, values: np.ndarray, best: np.ndarray) -> None:
        self.values, self._orders = values, best.tolist()
        self._at = [0] * len(best)
        self._gone = np.zeros(len(values), dtype=bool)

    def next(self) -> tuple[dict[int, int] | None, float]:
        """Return the rows of the next round, each with its first taker, and the round's value.

        None where a query has come to the end of its list: that of all rows ends after the last.
        """
        picked: dict[int, int] = {}
        similar = []
        for query, order in enumerate(self._orders):
            while self._at[query] < len(order) and self._gone[order[self._at[query]]]:
                self._at[query] += 1
            if self._at[query] == len(order):
                return None, np.nan
            row = order[self._at[query]]
            picked.setdefault(row, query)
            similar.append(float(self.values[row, query]))
        self._gone[list(picked)] = True
        return picked, float(np.mean(similar))
