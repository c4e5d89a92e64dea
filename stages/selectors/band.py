"""The middle of the distribution: neither the easiest nor the hardest rows.

The bounds are percentiles of the scores that reach the selector (linear interpolation, bounds
included), 25 and 75 % by default as in the middle-perplexity sampling of Cherry_LLM (Li et al.
2023, arXiv 2308.12032) for its pre-experienced model.
"""

from typing import Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from .base import Budget, Choice, Growth, Selector, by_score, score_schema, scores


@final
class Band(Selector):
    """Keeps rows between two percentiles of a score."""

    by: str
    low: float = Field(default=0.25, ge=0, le=1)
    high: float = Field(default=0.75, ge=0, le=1)
    pick: Literal["centre", "spread"] = "centre"
    """centre: nearest to the middle of the band first. spread: evenly over the band: every
    floor(m / n)-th of its m rows from the lowest score on, as Cherry_LLM does it."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be less than high ({self.high})")
        return self

    @property
    def growth(self) -> Growth:
        """The band does not move, but what is spread over it does."""
        return "never" if self.pick == "centre" else "anew"

    @property
    def reads(self) -> pa.Schema:
        """The score."""
        return score_schema(self.by)

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order the rows of the band before the others."""
        values = scores(pool, self.by)
        ascending = by_score(pool, self.by)[::-1]
        bounds = np.percentile(values, [100 * self.low, 100 * self.high]) if len(pool) else (0, 0)
        margin = np.minimum(values - bounds[0], bounds[1] - values)
        inside = margin[ascending] >= 0
        band, outside = ascending[inside], ascending[~inside]
        order = self._centred(band) if self.pick == "centre" else self._spread(pool, band, budget)
        reason = np.full(len(pool), f"{self.by} outside the band", dtype=object)
        return Choice(np.concatenate([order, outside]), len(band), reason, margin)

    def _centred(self, band: np.ndarray) -> np.ndarray:
        distance = np.abs(np.arange(len(band)) - (len(band) - 1) / 2)
        return band[np.argsort(distance, kind="stable")]

    def _spread(self, pool: pa.Table, band: np.ndarray, budget: Budget) -> np.ndarray:
        mean_cost = max(float(budget.costs(pool)[band].mean()), 1e-9) if len(band) else 1.0
        n = max(int(budget.limit / mean_cost), 1)
        picked = np.arange(len(band))[:: max(len(band) // n, 1)][:n]
        return np.concatenate([band[picked], np.delete(band, picked)])
