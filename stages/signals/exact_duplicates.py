"""Rows that say the same, up to form: a group for each text.

The text is that of a side of the conversation, in the Unicode form NFKC, in lower case, with white
space as one space (`stages.plain_text`). `side: instruction` groups the answers that one
instruction has. With `punctuation: ignore` 2+2 and 2-2 are the same.

    group  the smallest sample_id of the rows with this text; a lonely row has its own
    size   how many rows these are

Memory of `fit`: about 60 bytes per row, hashes and ids; the texts of one part at a time. Of rows in
groups of several about 100 bytes more, of which workers get half.
"""

from collections.abc import Iterable, Sequence
from typing import final

import numpy as np
import pyarrow as pa
import xxhash

from ...scorers.signals import column_type
from ..base import ROWS, Stage
from ..grouping import group_columns, said, several, state
from ..plain_text import Punctuation, Side, compared


@final
class ExactDuplicates(Stage):
    """The group of rows with the same text."""

    side: Side = "both"
    """Which text must be the same: `instruction`, `answer`, or each of both."""
    punctuation: Punctuation = "keep"
    """`ignore` compares letters and numbers alone."""

    @property
    def reads(self) -> pa.Schema:
        """The conversation, and the hash that names groups."""
        return pa.schema([ROWS.field("sample_id"), ROWS.field("messages")])

    @property
    def adds(self) -> pa.Schema:
        """Name and size of the group."""
        return pa.schema([(name, column_type(name)) for name in ("group", "size", "status")])

    @property
    def fits_pool(self) -> bool:
        """The other rows are the pool's."""
        return True

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table:
        """Return the groups of several rows; reads once."""
        ids, hashes = [pa.array([], pa.string())], [pa.array([], pa.binary(16))]
        for table in pool:
            ids += table["sample_id"].chunks
            texts = compared(table, self.side, self.punctuation).cast(pa.binary())
            own = [xxhash.xxh3_128_digest(text) for text in texts.to_pylist()]
            hashes.append(pa.array(own, pa.binary(16)))
        coded = pa.concat_arrays(hashes).dictionary_encode()
        every = pa.concat_arrays(ids)
        return state(every, several(every, np.asarray(coded.indices)))

    def found(self) -> str:
        """Return how many rows are in groups of several."""
        return said(self._fitted)

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns.

        Raises:
            ValueError: nothing was fitted.
        """
        if self._fitted is None:
            raise ValueError("exact_duplicates needs the groups that `fit` finds in the pool")
        columns = group_columns(rows, self._fitted)
        columns["status"] = pa.array(["ok"] * len(rows), pa.string())
        return pa.table({name: columns[name] for name in wanted})
