"""Rows that say nearly the same: groups of rows that share a band of their MinHash signatures.

Two rows with a band in common are linked (or, with `threshold`, those of them whose estimated
Jaccard similarity reaches it), and rows that are linked, however many links apart, are a group. So
two rows of a group need not be alike themselves.

    group    the smallest sample_id of the group; a lonely row has its own
    size     rows of the group
    jaccard  with `threshold`: estimated similarity to the row that the group is named after

Memory of `fit`: about 0.85 kB per row with 14 bands; with `threshold` also the signatures of the
rows that share a band with others, 448 bytes each. With `threshold` a band that very many rows of
little likeness share is compared pair by pair.
"""

from collections.abc import Iterable, Sequence
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ...scorers.signals import column_type
from ..banding import Bands, agreement, alike
from ..base import ROWS
from ..grouping import Grouped, linked, several, state


@final
class NearDuplicates(Grouped):
    """The group of rows that are nearly the same."""

    of: str = "minhash"
    """A `minhash` block."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """Link candidates only from this estimated similarity on; null: all, as datatrove does."""

    @property
    def reads(self) -> pa.Schema:
        """The bands, and what the similarity is estimated from."""
        names = ("bands", "status", *(("signature",) if self.threshold is not None else ()))
        own = [(f"{self.of}.{name}", column_type(name)) for name in names]
        return pa.schema([ROWS.field("sample_id"), *own])

    @property
    def more(self) -> tuple[str, ...]:
        """With a threshold how like the row is to the first of the group."""
        return ("jaccard",) if self.threshold is not None else ()

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table:
        """Return the groups of several rows; reads once, with `threshold` twice."""
        ids, bands = self._read(pool)
        if self.threshold is None:
            return state(ids, several(ids, linked(len(ids), *bands.links())))
        shared = list(bands.shared())
        some = np.unique(_joined(shared))
        signatures = self._signatures(pool, some)
        links = [
            alike(rows, signatures[np.searchsorted(some, rows)], self.threshold) for rows in shared
        ]
        left, right = (_joined([link[side] for link in links]) for side in (0, 1))
        found = several(ids, linked(len(ids), left, right))
        both = (signatures[np.searchsorted(some, rows)] for rows in (found.rows, found.first))
        return state(ids, found, jaccard=agreement(*both).astype(np.float32))

    def status(self, rows: pa.Table) -> pa.Array:
        """Return that of the bands."""
        return rows[f"{self.of}.status"].combine_chunks()

    def _read(self, pool: Iterable[pa.Table]) -> tuple[pa.Array, Bands]:
        """The ids of all rows, and their bands."""
        ids, keys, counts = (
            [pa.array([], pa.string())],
            [np.empty(0, np.uint64)],
            [np.empty(0, int)],
        )
        for table in pool:
            ids += table["sample_id"].chunks
            column = table[f"{self.of}.bands"].combine_chunks()
            keys.append(np.asarray(column.flatten()))
            counts.append(np.asarray(pc.list_value_length(column)))
        owner = np.repeat(np.arange(sum(map(len, counts)), dtype=np.int32), np.concatenate(counts))
        return pa.concat_arrays(ids), Bands(np.concatenate(keys), owner)

    def _signatures(self, pool: Iterable[pa.Table], some: np.ndarray) -> np.ndarray:
        """Those of some rows, (some, places)."""
        found, seen = list[np.ndarray](), 0
        for table in pool:
            low, high = np.searchsorted(some, [seen, seen + len(table)])
            if high > low:
                column = table[f"{self.of}.signature"].take(pa.array(some[low:high] - seen))
                flat = np.asarray(column.combine_chunks().flatten())
                found.append(flat.reshape(high - low, -1))
            seen += len(table)
        return np.concatenate(found) if found else np.empty((0, 1), np.uint32)


def _joined(pieces: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *pieces])
