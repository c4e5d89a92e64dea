"""The best scores, and beside them the best of each group whatever its score.

CaR (Ge et al. 2024, arXiv 2402.18191): the best rows by a quality score, and the best of each of
sqrt(n / 2) clusters. Here the budget says how many there are in all: the best `each` rows of every
group come first, and the best of the other rows fill it up. These are the rows of CaR with that
many best ones as make so many in all.
"""

from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np
import pyarrow as pa
from pydantic import Field

from .base import OVER_BUDGET, Budget, Choice, Growth, Selector, by_score, score_schema, scores
from .groups import groups_of


@final
class BestOfEach(Selector):
    """Keeps the best of every group, and the best scores."""

    words: ClassVar[Mapping[str, str]] = {
        "best of its group": "it is among the best of the group {detail}, whatever its score"
    }

    by: str
    column: str = "clusters.label"
    """`source`, an input column such as `data.category`, or the label of clusters; `groups` says
    how groups are named. A row without one is kept for its score alone."""
    each: int = Field(default=1, ge=1)
    """Rows of each group."""

    @property
    def growth(self) -> Growth:
        """The order does not go by the budget."""
        return "by rank"

    @property
    def reads(self) -> pa.Schema:
        """The score and the groups."""
        return score_schema(self.by).append(pa.field(self.column, pa.null()))

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order: the best of the groups, then the others, each by score.

        The margin of the former is to the best row of the group that was not one of them.
        """
        order, values = by_score(pool, self.by), scores(pool, self.by)
        names, member = groups_of(pool[self.column])
        taken = np.zeros(len(names), np.int64)
        next_best = np.full(len(names), -np.inf)
        best = np.zeros(len(pool), dtype=bool)
        for row in order[member[order] >= 0].tolist():
            group = member[row]
            taken[group] += 1
            best[row] = taken[group] <= self.each
            if taken[group] == self.each + 1:
                next_best[group] = values[row]
        order = np.concatenate([order[best[order]], order[~best[order]]])
        n_kept = budget.fits(pool, order)
        last = values[order[n_kept - 1]] if n_kept else np.inf
        margin = values - last
        pulled = np.full(len(pool), "", dtype=object)
        for row in order[:n_kept][best[order[:n_kept]]].tolist():
            margin[row] = values[row] - next_best[member[row]]
            pulled[row] = f"best of its group: {names[member[row]]}"
        reason = np.full(len(pool), OVER_BUDGET, dtype=object)
        return Choice(order, n_kept, reason, margin, pulled=pulled)
