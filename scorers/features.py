"""One vector per row, from a column of vectors of one checkpoint or of several.

With g_i the vector at checkpoint i and w_i its weight:

    x = sum_i w_i g_i / sum_i w_i

as the published code of TAGCOS (`mean_grad.py`) makes one gradient of those at all checkpoints.
With `unit` each g_i has length 1 first, which gives int8 and signs a common scale.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import ContractError
from .base import NUMBERED, row_status
from .matrices import matrix, unit
from .signals import STATUS, column_type

ROWS_AT_ONCE = 128  # with 4 checkpoints of 8,192 numbers 34 MB; bounds memory, no result


@dataclass(frozen=True)
class Features:
    """Where the vectors are.

    Attributes:
        of: the column, by full name.
        weights: the column of the checkpoints' weights, whose length says how many a vector holds,
            one after the other; None: a vector is what it is.
        unit: set the vector of each checkpoint to length 1.
    """

    of: str
    weights: str | None = None
    unit: bool = True

    @property
    def statuses(self) -> tuple[str, ...]:
        """The statuses beside the column: of the row, and of the pass that it comes from."""
        signal, _, column = self.of.partition(".")
        passes = [STATUS[column]] if column in STATUS else []
        return tuple(f"{signal}.{name}" for name in (*passes, "status"))

    @property
    def reads(self) -> pa.Schema:
        """The columns, the vectors of any type that `matrices` reads."""
        fields = [pa.field(self.of, pa.null())]
        fields += [pa.field(name, pa.string()) for name in self.statuses]
        if self.weights:
            fields.append(pa.field(self.weights, pa.list_(pa.float32())))
        return pa.schema(fields)

    def status(self, rows: pa.Table) -> pa.Array:
        """Return each row's status: that of the row or the pass."""
        return row_status(rows.select(self.statuses))

    def vectors(self, rows: pa.Table) -> np.ndarray:
        """Return (rows, numbers) float64, NaN for a row without a vector; row by row the same.

        Raises:
            ContractError: vectors of different lengths, or not of so many checkpoints.
        """
        stored = matrix(rows[self.of], self.of)
        numbered = np.asarray(pc.is_in(self.status(rows), pa.array(NUMBERED)))
        weights = np.ones((len(rows), 1))
        if self.weights:
            weights = matrix(rows[self.weights], self.weights)
        if not stored.shape[1] or not weights.shape[1]:
            return np.full((len(rows), 0), np.nan)
        if stored.shape[1] % weights.shape[1]:
            raise ContractError(
                f"{self.of} has vectors of {stored.shape[1]} numbers for {weights.shape[1]} "
                f"checkpoints ({self.weights})"
            )
        each = stored.reshape(len(rows), weights.shape[1], -1)
        each = unit(each) if self.unit else each
        weights = weights / weights.sum(1, keepdims=True)
        found = np.asarray((each * weights[:, :, None]).sum(1))
        found[~(numbered & np.isfinite(found).all(1))] = np.nan
        return found

    def blocks(self, rows: pa.Table) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the vectors of a few rows at a time, and which rows these are.

        Vectors of no number stand for a block in which no row has one.
        """
        for start in range(0, len(rows), ROWS_AT_ONCE):
            block = rows.slice(start, ROWS_AT_ONCE)
            yield slice(start, start + len(block)), self.vectors(block)


def signal_column(name: str | None) -> str | None:
    """Return the full name of a signal's column of vectors as it is.

    Raises:
        ValueError: the name of something else.
    """
    if name is not None and (name.startswith("data.") or not all(name.partition("."))):
        raise ValueError(
            f"must be the column of a signal, such as base.embedding, not {name!r}; vectors that "
            f"the rows carry become one by the signal embedding_column"
        )
    if name is not None and not _may_be_vectors(name.partition(".")[2]):
        raise ValueError(f"must be a column of vectors, such as base.embedding, not {name!r}")
    return name


def _may_be_vectors(column: str) -> bool:
    """Whether the vocabulary of signals has lists of numbers for a column, or does not know it."""
    try:
        kind = column_type(column)
    except KeyError:  # of a signal of the user's own
        return True
    return pa.types.is_list(kind) and not pa.types.is_string(kind.value_type)


def there(vectors: np.ndarray) -> np.ndarray:
    """Return which rows have a vector, (rows,) bool."""
    if not vectors.shape[1]:
        return np.zeros(len(vectors), dtype=bool)
    return np.asarray(~np.isnan(vectors[:, 0]))
