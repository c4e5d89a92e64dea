"""A number that the rows already carry: a rating, a reward, a column of another tool.

score = the value of the column (or minus it, with `prefer: low`)
"""

from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import DataError
from .base import floats
from .preference import Preferring

EXACT = 1 << 24  # beyond, float32 leaves out whole numbers
NUMBER = r"^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$"


@final
class Column(Preferring):
    """Any numeric column, such as `data.rating`; text that spells a number counts as one."""

    column: str

    @property
    def undefined(self) -> str:
        """Why a row has no score."""
        return "not_a_number"

    @property
    def reads(self) -> pa.Schema:
        """The column, of whatever type."""
        return pa.schema([(self.column, pa.null())])

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
        return numbers(rows, self.column)

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


def numbers(rows: pa.Table, name: str) -> np.ndarray:
    """Return a column of any type as (rows,) float64, NaN where it is no number.

    Text that spells a number is one.
    """
    column = rows[name].combine_chunks()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.string())
        spelled = pc.fill_null(pc.match_substring_regex(column, NUMBER), False)
        text = pc.if_else(spelled, pc.utf8_trim_whitespace(column), None)
        # truth values beside texts in one column have become text
        text = pc.if_else(pc.equal(column, "true"), "1", text)
        text = pc.if_else(pc.equal(column, "false"), "0", text)
        return np.asarray(text.cast(pa.float64()).to_numpy(zero_copy_only=False))
    if not (
        pa.types.is_integer(column.type)
        or pa.types.is_floating(column.type)
        or pa.types.is_boolean(column.type)
    ):
        return np.full(len(rows), np.nan)
    return floats(rows, name)
