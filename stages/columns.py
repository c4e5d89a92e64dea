"""Numbers of tokens, turns and sequences to Arrow columns of rows; columns to other types."""

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Sequences:
    """Which row each sequence of a pass belongs to, and which rows have numbers.

    Attributes:
        row: (sequences,) ascending.
        status: (sequences,) ok, or why the sequence has no numbers.
        n_rows: rows of the table; a row without sequences has no numbers.
    """

    row: np.ndarray
    status: np.ndarray
    n_rows: int

    @property
    def ok(self) -> np.ndarray:
        """(rows,) True where all sequences of the row are ok, and there is one."""
        n_bad = np.bincount(self.row[self.status != "ok"], minlength=self.n_rows)
        ok: np.ndarray = (np.bincount(self.row, minlength=self.n_rows) > 0) & (n_bad == 0)
        return ok

    def status_column(self) -> pa.Array:
        """Return each row's status; null for a row without sequences."""
        worst = np.full(self.n_rows, None, dtype=object)
        worst[self.row] = "ok"
        bad = self.status != "ok"
        worst[self.row[bad]] = self.status[bad]
        return pa.array(worst, pa.string())

    def per_row(self, counts: np.ndarray) -> np.ndarray:
        """Return counts per sequence as counts per row."""
        return np.bincount(self.row, weights=counts, minlength=self.n_rows).astype(np.int64)

    def lists(self, values: np.ndarray, counts: np.ndarray, kind: pa.DataType) -> pa.Array:
        """Return lists of values, null for rows without numbers.

        Args:
            values: all values, one sequence after the other.
            counts: (sequences,) values of each.
            kind: Arrow type of one value.
        """
        offsets = np.concatenate([[0], np.cumsum(self.per_row(counts))]).astype(np.int32)
        flat = pa.array(values, kind)
        return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=pa.array(~self.ok))

    def sums(self, values: np.ndarray, counts: np.ndarray) -> tuple[pa.Array, pa.Array]:
        """Return the sum (float64) and number (int32) of the values of each row, null as above.

        Each row is added up by itself, in order, so its sum does not depend on its neighbours.
        """
        n = self.per_row(counts)
        sums = np.zeros(self.n_rows)
        some = n > 0
        if some.any():
            starts = (np.cumsum(n) - n)[some]
            sums[some] = np.add.reduceat(values.astype(np.float64), starts)
        absent = ~self.ok
        return (
            pa.array(sums, pa.float64(), mask=absent),
            pa.array(n.astype(np.int32), pa.int32(), mask=absent),
        )


def as_kind(column: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    """Return an input column as the type that it has in the whole pool.

    Args:
        column: of one part.
        kind: bool, int64, double, string, or empty: as it is. Numbers and truth values become text
            as JSON spells them.
    """
    if not kind:
        return column
    target = pa.type_for_alias(kind)
    if pa.types.is_string(target) and not pa.types.is_string(column.type):
        texts = [None if value is None else json.dumps(value) for value in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, target)])
    return column.cast(target, safe=False)
