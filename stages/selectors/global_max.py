"""The best pairs of query and row over all queries, as `get_top_optimized` of RDS+ chooses.

Source: the code of Ivison et al. 2025, arXiv 2503.01807 (open-instruct). Without a cap this is the
order by each row's best number; queries that lie close to many rows then fill the budget. With
`cap` a query takes so many rows at most, and a row may go to the next best query.
"""

import heapq
from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np
import pyarrow as pa
from pydantic import Field

from .base import Budget, Choice, Growth, Selector
from .queries import QUERY_WORDS, Spending, Taken, choose, list_schema

NO_QUERY = "every query has its cap"


@final
class GlobalMax(Selector):
    """Keeps the rows of the best pairs, until the budget is spent."""

    words: ClassVar[Mapping[str, str]] = QUERY_WORDS | {
        NO_QUERY: "every example of the target took as many rows as its cap lets it before this one"
    }

    by: str
    """A list column with one number per query, such as `rds.by_query`."""
    cap: int | None = Field(default=None, ge=1)
    """A query takes at most so many rows."""

    @property
    def growth(self) -> Growth:
        """Without a cap the order is that of the best numbers."""
        return "by rank" if self.cap is None else "anew"

    @property
    def reads(self) -> pa.Schema:
        """The numbers of the queries, and the score."""
        return list_schema(self.by)

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order by the number at which a row was taken; the others follow by their best one.

        The reason of a kept row says which query took it, by its place in the list from 0.
        """
        return choose(pool, self.by, budget, self._walk, NO_QUERY)

    def _walk(self, values: np.ndarray, best: np.ndarray, spending: Spending, whole: bool) -> Taken:
        orders = best.tolist()
        gone = np.zeros(len(values), dtype=bool)
        taken_by = [0] * len(orders)
        rows: list[int] = []
        takers: list[int] = []

        def pair(query: int, place: int) -> tuple[float, int, int, int]:
            row = orders[query][place]
            return -float(values[row, query]), row, query, place

        pairs = [pair(query, 0) for query, order in enumerate(orders) if order]
        heapq.heapify(pairs)
        while pairs:
            _, row, query, place = heapq.heappop(pairs)
            if not gone[row]:
                gone[row] = True
                rows.append(row)
                takers.append(query)
                taken_by[query] += 1
                if not spending.spend(row) or len(rows) == len(values):
                    return Taken(rows, takers, complete=True)
            if taken_by[query] == self.cap:
                continue
            if place + 1 < len(orders[query]):
                heapq.heappush(pairs, pair(query, place + 1))
            elif not whole:  # its list goes on
                return Taken(rows, takers, complete=False)
        return Taken(rows, takers, complete=True)
