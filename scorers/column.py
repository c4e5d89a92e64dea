"""A number that the rows already carry: a rating, a reward, a column of another tool.

score = the value of the column (or minus it, with `prefer: low`)
"""

from typing import final

import numpy as np
import pyarrow as pa

from ..errors import DataError
from .preference import Preferring
from .rated import rating_numbers, rating_schema

EXACT = 1 << 24  # beyond, float32 leaves out whole numbers


@final
class Column(Preferring):
    """Any numeric column, such as `data.rating` or `judge.rating`; text may spell the number."""

    column: str

    @property
    def undefined(self) -> str:
        """Why a row has no score."""
        return "not_a_number"

    @property
    def reads(self) -> pa.Schema:
        """The column, of whatever type, and the status of a block that rates."""
        return rating_schema(self.column)

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Array:
        """Return the value of each row, turned by `prefer`.

        Raises:
            DataError: whole numbers that scores cannot tell apart.
        """
        if self.prefer != "middle":
            self._check_told_apart(self.value(rows))
        return super().score(rows, fitted)

    def value(self, rows: pa.Table) -> np.ndarray:
        """Return the column as numbers."""
        return rating_numbers(rows, self.column)

    def _check_told_apart(self, values: np.ndarray) -> None:
        """Raise where whole numbers are so large that as scores they would become equal.

        Raises:
            DataError: one that float32 does not hold.
        """
        whole = (np.abs(values) > EXACT) & (values == np.round(values))
        lost = whole & (values.astype(np.float32) != values)
        if lost.any():
            raise DataError(
                f"{self.column} holds whole numbers such as {values[lost][0]:.0f}, and scores tell "
                f"them apart up to {EXACT} only; subtract a constant, or divide them"
            )
