"""Vectors that the rows already carry, as an embedding: unit norm, fp16."""

import json
from collections.abc import Sequence
from typing import final

import numpy as np
import pyarrow as pa

from ...scorers.signals import column_type
from ..base import Stage


@final
class EmbeddingColumn(Stage):
    """Makes an embedding of an input column of number lists, such as `data.embedding`."""

    column: str

    @property
    def reads(self) -> pa.Schema:
        """The column: lists of numbers, or their JSON text."""
        return pa.schema([(self.column, pa.null())])

    @property
    def adds(self) -> pa.Schema:
        """The embedding, and why a row has none; there is no pass that could have failed."""
        names = ("embedding", "given.status", "status")
        return pa.schema([(name, column_type(name)) for name in names])

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the vectors scaled to unit norm."""
        vectors = [_unit(value) for value in rows[self.column].to_pylist()]
        columns = {
            "embedding": pa.array(vectors, column_type("embedding")),
            "given.status": pa.nulls(len(rows), pa.string()),
            "status": pa.array(["no_vector" if v is None else "ok" for v in vectors], pa.string()),
        }
        return pa.table({name: columns[name] for name in wanted})


def _unit(value: object) -> np.ndarray | None:
    """The value as a unit vector, or None where it is not one."""
    try:
        numbers = json.loads(value) if isinstance(value, str) else value
        vector = np.asarray(numbers, dtype=np.float64)
    except (ValueError, TypeError):
        return None
    norm = np.linalg.norm(vector) if vector.ndim == 1 and vector.size else 0.0
    return (vector / norm).astype(np.float16) if np.isfinite(norm) and norm > 0 else None
