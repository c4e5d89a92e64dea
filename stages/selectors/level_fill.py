"""Whole levels of a score, the highest first; of the level that does not fit, the best by another.

DS2 (Pang et al. 2025, arXiv 2410.10877) takes all rows of the highest curated rating, then of the
next, and so on while a level fits into the budget; of the level that does not, the rows with the
highest long-tail score. So rows are in the order of the score, and of equal scores in that of
`then`.
"""

from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .base import OVER_BUDGET, Budget, Choice, Growth, Selector, score_schema, scores

LEVEL_FULL = "level is full"


@final
class LevelFill(Selector):
    """Keeps whole levels of a score, and fills up with the best of the next by another number."""

    words: ClassVar[Mapping[str, str]] = {
        LEVEL_FULL: "its level {detail} is the first that does not fit as a whole, and better rows "
        "of the level fill it; the margin is in the second number"
    }

    by: str = "ds2.score"
    """The score whose equal values are levels."""
    then: str = "ds2.long_tail"
    """What decides within a level; a row without a number in it comes last there."""

    @property
    def growth(self) -> Growth:
        """The order does not go by the budget."""
        return "by rank"

    @property
    def reads(self) -> pa.Schema:
        """Both numbers."""
        return score_schema(self.by, self.then)

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order by level, then by the second number."""
        levels, values = scores(pool, self.by), _numbers(pool, self.then)
        table = pool.select(["sample_id", "row_id"])
        table = table.append_column("level", pa.array(levels))
        table = table.append_column("value", pa.array(values))
        keys = [("level", "descending"), ("value", "descending")]
        keys += [("sample_id", "ascending"), ("row_id", "ascending")]
        order = np.asarray(pc.sort_indices(table, sort_keys=keys), dtype=np.int64)
        n_kept = budget.fits(pool, order)
        reason = np.full(len(pool), OVER_BUDGET, dtype=object)
        if not n_kept:
            return Choice(order, 0, reason, np.full(len(pool), -np.inf))
        last = order[n_kept - 1]
        own = levels == levels[last]
        with np.errstate(invalid="ignore"):
            margin = np.where(own, values - values[last], levels - levels[last])
        margin[own & np.isinf(values)] = np.nan
        reason[own] = f"{LEVEL_FULL}: {levels[last]:g}"
        return Choice(order, n_kept, reason, margin)


def _numbers(pool: pa.Table, name: str) -> np.ndarray:
    """The second number, minus infinity where there is none."""
    found = scores(pool, name)
    return np.asarray(np.where(np.isnan(found), -np.inf, found))
