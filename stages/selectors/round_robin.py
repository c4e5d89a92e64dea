"""Queries take turns: each takes the best row that is left for it.

Source: RDS+ (Ivison et al. 2025, arXiv 2503.01807). Its published code lets a query whose best row
was taken before lose its turn (`lose_turn`); with `re_pop` it takes its next best row instead. For
one task `by` is a scorer's `by_query`, for several its `by_target`: then targets take turns, and a
row's number for a target is its score for that target.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal, final

import numpy as np
import pyarrow as pa

from .base import Budget, Choice, Selector
from .queries import QUERY_WORDS, Spending, Taken, choose, list_schema


@final
class RoundRobin(Selector):
    """Keeps the rows that queries take in turn, until the budget is spent."""

    words: ClassVar[Mapping[str, str]] = QUERY_WORDS

    by: str
    """A list column with one number per query, such as `rds.by_query`."""
    taken: Literal["lose_turn", "re_pop"] = "lose_turn"
    """What becomes of a query whose best row was taken before."""

    @property
    def reads(self) -> pa.Schema:
        """The numbers of the queries, and the score."""
        return list_schema(self.by)

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order by turn; rows that nobody took follow by their best number.

        The reason of a kept row says which query took it, by its place in the list from 0.
        """
        return choose(pool, self.by, budget, self._walk)

    def _walk(self, values: np.ndarray, best: np.ndarray, spending: Spending, whole: bool) -> Taken:
        gone = np.zeros(len(values), dtype=bool)
        at = [0] * len(best)
        rows: list[int] = []
        takers: list[int] = []
        orders = best.tolist()
        while len(rows) < len(values):
            for query, order in enumerate(orders):
                while at[query] < len(order):
                    row = order[at[query]]
                    at[query] += 1
                    if not gone[row]:
                        gone[row] = True
                        rows.append(row)
                        takers.append(query)
                        if not spending.spend(row):
                            return Taken(rows, takers, complete=True)
                        break
                    if self.taken == "lose_turn":
                        break
                else:
                    if not whole:  # its list goes on
                        return Taken(rows, takers, complete=False)
        return Taken(rows, takers, complete=True)
