"""A number of the rows between bounds: tokens of the answer, words, a score, a rating.

    value < at_least  ->  too_low          value > at_most  ->  too_high

Tokens are those that a signal has counted, such as `length.answer_tokens` or `base.answer_tokens`.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from ...errors import DataError
from ...scorers.rated import rating_numbers
from .base import Filter


@final
class Bounds(Filter):
    """Drops rows whose number lies outside."""

    words: ClassVar[Mapping[str, str]] = {
        "too_low": "its number lies under the bound",
        "too_high": "its number lies over the bound",
        "no_number": "it has no number where one is bounded",
    }

    column: str
    """Any numeric column; text that spells a number counts as one."""
    at_least: float | None = Field(default=None, allow_inf_nan=False)
    at_most: float | None = Field(default=None, allow_inf_nan=False)
    missing: Literal["drop", "keep"] = "drop"
    """What becomes of rows without a number."""

    @model_validator(mode="after")
    def _some_bound(self) -> Self:
        low, high = self.at_least, self.at_most
        if low is None and high is None:
            raise ValueError("give at_least or at_most, or both")
        if low is not None and high is not None and low > high:
            raise ValueError(f"at_least is {low:g}, and at_most only {high:g}")
        return self

    @property
    def reads(self) -> pa.Schema:
        """The column, of whatever type."""
        return pa.schema([(self.column, pa.null())])

    @property
    def details(self) -> pa.Schema:
        """The number."""
        return pa.schema([("value", pa.float64())])

    def judge(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return which bound a row is beyond.

        Raises:
            DataError: a column that can hold no numbers, such as one of lists.
        """
        if pa.types.is_nested(kind := rows[self.column].type):
            raise DataError(f"bounds needs a column of numbers, and {self.column} is {kind}")
        values = rating_numbers(rows, self.column)
        reasons = [self._reason(value) for value in values.tolist()]
        value = pa.array(values, pa.float64(), from_pandas=True)
        return pa.table({"reason": pa.array(reasons, pa.string()), "value": value})

    def _reason(self, value: float) -> str | None:
        if not np.isfinite(value):
            return "no_number" if self.missing == "drop" else None
        if self.at_least is not None and value < self.at_least:
            return f"too_low: {value:g} is under {self.at_least:g}"
        if self.at_most is not None and value > self.at_most:
            return f"too_high: {value:g} is over {self.at_most:g}"
        return None
