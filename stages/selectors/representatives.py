"""One row of each group of duplicates, or a few: the best of it.

Goes by any column that names groups: those of `exact_duplicates`, `near_duplicates` and
`semantic_duplicates`, clusters, a column of the rows. A row that is in no group (null) is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import pyarrow as pa
from pydantic import Field

from ...scorers.base import floats
from .base import Budget, Choice, Growth, Selector, by_value, score_schema, scores
from .groups import groups_of

FIRST = "first"
DUPLICATE = "duplicate"


@final
class Representatives(Selector):
    """Keeps the best rows of each group, whatever the budget."""

    words: ClassVar[Mapping[str, str]] = {
        DUPLICATE: "{detail} of the same group comes before it and passes"
    }

    column: str
    """That names the groups, such as `exact.group` or `near.group`."""
    by: str = FIRST
    """A score, the highest first, such as that of `length` for the longest; or `first`: the row
    that comes first in the pool."""
    each: int = Field(default=1, ge=1)
    """Rows of each group."""

    @property
    def growth(self) -> Growth:
        """A group does not know of the budget."""
        return "never"

    @property
    def reads(self) -> pa.Schema:
        """The groups, and the score."""
        own = pa.schema([]) if self.by == FIRST else score_schema(self.by)
        return own.append(pa.field(self.column, pa.null()))

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order: the kept rows, then the others, each by score or as they come.

        The margin is to the last kept row of the group, and of the kept to the next that is not.
        """
        first = self.by == FIRST
        values = -floats(pool, "row_id") if first else scores(pool, self.by)
        order = by_value(pool, values)
        _, group = groups_of(pool[self.column])
        line = _Line.of(order, group)
        kept = (line.place < self.each) | (group < 0)
        reason = np.full(len(pool), "", dtype=object)
        ids = pool["row_id"].to_numpy()
        for row in np.flatnonzero(~kept).tolist():
            reason[row] = f"{DUPLICATE}: row {ids[line.best[row]]}"
        margin = np.full(len(pool), np.nan) if first else line.margins(values, group, self.each)
        order = np.concatenate([order[kept[order]], order[~kept[order]]])
        return Choice(order, int(kept.sum()), reason, margin, worth=None if first else values)


@dataclass(frozen=True)
class _Line:
    """The rows group by group, in the order of the selector.

    Attributes:
        rows: (rows,) so.
        begins: (groups + 1,) where each group begins in it, and the end.
        place: (rows,) of each row in its group, from 0.
        best: (rows,) the first row of its group.
    """

    rows: np.ndarray
    begins: np.ndarray
    place: np.ndarray
    best: np.ndarray

    @classmethod
    def of(cls, order: np.ndarray, group: np.ndarray) -> "_Line":
        """Line them up."""
        rows = order[np.argsort(group[order], kind="stable")]
        new = np.ones(len(rows), dtype=bool)
        new[1:] = group[rows[1:]] != group[rows[:-1]]
        begins = np.append(np.flatnonzero(new), len(rows))
        sizes = np.diff(begins)
        place, best = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
        place[rows] = np.arange(len(rows)) - np.repeat(begins[:-1], sizes)
        best[rows] = np.repeat(rows[begins[:-1]], sizes)
        return cls(rows, begins, place, best)

    def margins(self, values: np.ndarray, group: np.ndarray, each: int) -> np.ndarray:
        """Return how far each row is from the cut in its group; inf where none is beyond it."""
        sizes = np.diff(self.begins)
        margin = np.full(len(values), np.inf)
        cut = sizes > each
        to_last = self.rows[self.begins[:-1][cut] + each - 1]
        to_next = self.rows[self.begins[:-1][cut] + each]
        own = np.repeat(cut, sizes)
        rows = self.rows[own]
        last, next_ = (np.repeat(values[at], sizes[cut]) for at in (to_last, to_next))
        margin[rows] = values[rows] - np.where(self.place[rows] < each, next_, last)
        margin[group < 0] = np.inf
        return margin
