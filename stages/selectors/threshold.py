"""Scores on the right side of a value, such as an IFD under 1."""

from typing import Self, final

import numpy as np
import pyarrow as pa
from pydantic import model_validator

from .base import Budget, Choice, Growth, Selector, by_score, score_schema, scores


@final
class Threshold(Selector):
    """Keeps every row whose score lies within the bounds; best scores first."""

    by: str
    above: float | None = None
    """Strictly more than this."""
    at_least: float | None = None
    below: float | None = None
    """Strictly less than this."""
    at_most: float | None = None

    @model_validator(mode="after")
    def _some_bound(self) -> Self:
        if not self._bounds():
            raise ValueError("give at least one of above, at_least, below, at_most")
        return self

    @property
    def growth(self) -> Growth:
        """The bounds do not move."""
        return "never"

    @property
    def reads(self) -> pa.Schema:
        """The score."""
        return score_schema(self.by)

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order the rows within the bounds before the others, each by score."""
        values = scores(pool, self.by)
        reason = np.full(len(pool), "", dtype=object)
        margin = np.full(len(pool), np.inf)
        for name, given in self._bounds().items():
            bound = float(np.float32(given))  # scores are float32: 0.1 must equal a score of 0.1
            upper = name in ("below", "at_most")
            distance = bound - values if upper else values - bound
            inside = distance > 0 if name in ("below", "above") else distance >= 0
            reason[~inside & (reason == "")] = f"{self.by} not {name.replace('_', ' ')} {given:g}"
            margin = np.minimum(margin, distance)
        order = by_score(pool, self.by)
        inside = reason[order] == ""
        order = np.concatenate([order[inside], order[~inside]])
        return Choice(order, int(inside.sum()), reason, margin, worth=values)

    def _bounds(self) -> dict[str, float]:
        names = ("above", "at_least", "below", "at_most")
        return {name: bound for name in names if (bound := getattr(self, name)) is not None}
