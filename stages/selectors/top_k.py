"""The best scores."""

from typing import Self, final

import pyarrow as pa
from pydantic import Field, model_validator

from .base import Budget, Choice, Growth, Selector, by_score, cut, score_schema, scores, share_of


@final
class TopK(Selector):
    """Keeps the rows with the best scores.

    How many is the budget; as a step before another selector it can have a size of its own.
    """

    by: str
    rows: int | None = Field(default=None, ge=1)
    """Keep so many instead of the budget."""
    fraction: float | None = Field(default=None, gt=0, le=1)
    """Keep this share of the rows that reach it instead of the budget."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.rows is not None and self.fraction is not None:
            raise ValueError("give rows or fraction, not both")
        return self

    @property
    def growth(self) -> Growth:
        """By the budget, or never where it has a size of its own."""
        return "by rank" if self.rows is None and self.fraction is None else "never"

    @property
    def reads(self) -> pa.Schema:
        """The score."""
        return score_schema(self.by)

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order by score."""
        order = by_score(pool, self.by)
        if self.rows is not None:
            n_kept = min(self.rows, len(pool))
        elif self.fraction is not None:
            n_kept = share_of(len(pool), self.fraction)
        else:
            n_kept = budget.fits(pool, order)
        return cut(order, n_kept, scores(pool, self.by))
