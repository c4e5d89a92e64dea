"""Vectors that the rows already carry, as an embedding: unit norm, fp16.

    no_vector      status of a row whose value is no list of finite numbers, or all zeros
    wrong_length   of one that has not `dim` numbers

Without `dim` all rows must have as many numbers. Most have a length only in view of a whole pool,
and a status must not depend on which rows happen to be read together, so another length is an
error then, and not a status.
"""

import json
from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
import pyarrow as pa
from pydantic import Field

from ...errors import DataError
from ...scorers.signals import column_type
from ..base import ROWS, Stage


@final
class EmbeddingColumn(Stage):
    """Makes an embedding of an input column of number lists, such as `data.embedding`."""

    version: ClassVar[int] = 2

    column: str
    dim: int | None = Field(default=None, ge=1)
    """Numbers of a vector; a row with another number of them has the status `wrong_length`. Null:
    as many as the others have."""

    @property
    def reads(self) -> pa.Schema:
        """The column: lists of numbers, or their JSON text; and a name for each row."""
        return pa.schema([(self.column, pa.null()), ROWS.field("sample_id")])

    @property
    def adds(self) -> pa.Schema:
        """The embedding, and why a row has none; there is no pass that could have failed."""
        names = ("embedding", "given.status", "status")
        return pa.schema([(name, column_type(name)) for name in names])

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the vectors scaled to unit norm.

        Raises:
            DataError: vectors of different lengths, without `dim`.
        """
        found = [self._vector(value) for value in rows[self.column].to_pylist()]
        vectors = [None if isinstance(one, str) else one for one in found]
        self._check_lengths(vectors, rows["sample_id"])
        columns = {
            "embedding": pa.array(vectors, column_type("embedding")),
            "given.status": pa.nulls(len(rows), pa.string()),
            "status": pa.array([one if isinstance(one, str) else "ok" for one in found]),
        }
        return pa.table({name: columns[name].cast(column_type(name)) for name in wanted})

    def _vector(self, value: object) -> np.ndarray | str:
        """The value as a unit vector, or why it is none."""
        try:
            numbers = json.loads(value) if isinstance(value, str) else value
            vector = np.asarray(numbers, dtype=np.float64)
        except (ValueError, TypeError):
            return "no_vector"
        if vector.ndim != 1 or not vector.any() or not np.isfinite(vector).all():
            return "no_vector"
        if self.dim not in (None, len(vector)):
            return "wrong_length"
        vector = vector / np.abs(vector).max()  # whose squares are finite, and not all 0
        return np.asarray(vector / np.linalg.norm(vector), np.float16)

    def _check_lengths(
        self, vectors: Sequence[np.ndarray | None], sample_ids: pa.ChunkedArray
    ) -> None:
        lengths = np.array([0 if one is None else len(one) for one in vectors], dtype=np.int64)
        sizes, counts = np.unique(lengths[lengths > 0], return_counts=True)
        if len(sizes) < 2:
            return
        usual = sizes[counts.argmax()]
        odd = int(np.flatnonzero((lengths > 0) & (lengths != usual))[0])
        raise DataError(
            f"{self.column} has vectors of {usual} numbers, but of {lengths[odd]} in the row with "
            f"sample_id {sample_ids[odd].as_py()}; with `dim: {usual}` such rows get the status "
            f"wrong_length, and are left out"
        )
