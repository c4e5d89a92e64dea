"""A random sample: the choice that every method must beat."""

from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...scorers.random import uniform
from .base import Budget, Choice, Growth, Selector, cut


@final
class Random(Selector):
    """Keeps a seeded random sample; a row's draw depends on its content and the seed alone."""

    seed: int | None = None

    @property
    def growth(self) -> Growth:
        """The draws stay the same."""
        return "by rank"

    @property
    def reads(self) -> pa.Schema:
        """Nothing but the ids."""
        return pa.schema([])

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order by the draws."""
        draws = uniform(self.seed or 0, pool["sample_id"])
        keys = [("draw", "descending"), ("sample_id", "ascending"), ("row_id", "ascending")]
        table = pool.select(["sample_id", "row_id"]).append_column("draw", pa.array(draws))
        order = np.asarray(pc.sort_indices(table, sort_keys=keys), dtype=np.int64)
        return cut(order, budget.fits(pool, order), draws)
