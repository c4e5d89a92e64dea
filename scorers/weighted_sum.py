"""The sum of ratings and scores, each with a weight.

    score = sum_c w_c x_c

With all weights 1 it is the metric of DataMan (Peng et al. 2025, arXiv 2502.19363), the sum of the
criteria of a judge. With 1 for the rating of a strong model's answer and -1 for that of the target
model's it is the gap of CodecLM (Wang et al. 2024, arXiv 2404.05875): instructions whose gap is
large are those that the target model still has to learn from.
"""

from typing import Annotated, final

import numpy as np
import pyarrow as pa
from pydantic import Field, FiniteFloat, field_validator

from .base import Scorer
from .rated import NO_RATING, rating_numbers, rating_schema

Weights = Annotated[dict[str, FiniteFloat], Field(min_length=1)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


@final
class WeightedSum(Scorer):
    """The weighted sum of columns; a row without one of the numbers has no score."""

    columns: Weights | Names
    """Full names such as `judge.criteria.accuracy`, `ifd.score` or `data.rating`: a list, each with
    the weight 1, or a weight for each."""

    @field_validator("columns")
    @classmethod
    def _each_once(cls, columns: Weights | Names) -> Weights | Names:
        if len(set(columns)) < len(columns):
            raise ValueError(f"a column is there twice: {', '.join(columns)}")
        return columns

    @property
    def undefined(self) -> str:
        """Why a row has no score."""
        return NO_RATING

    @property
    def reads(self) -> pa.Schema:
        """The columns, of whatever type, and their statuses."""
        return rating_schema(*self.columns)

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Array:
        """Return the sum of each row, NaN where a number is missing."""
        weights = self.columns if isinstance(self.columns, dict) else dict.fromkeys(self.columns, 1)
        total = np.zeros(len(rows))
        for name, weight in weights.items():
            total += weight * rating_numbers(rows, name)
        return pa.array(total)
