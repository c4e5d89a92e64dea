"""Rows that say the same, up to form: a group for each text.

The text is that of a side of the conversation, in the Unicode form NFKC, in lower case, with white
space as one space (`stages.plain_text`). `side: instruction` groups the answers that one
instruction has. With `punctuation: ignore` 2+2 and 2-2 are the same.

    group  the smallest sample_id of the rows with this text; a lonely row has its own
    size   how many rows these are

Memory of `fit`: about 0.3 kB per row, hashes and ids; the texts of one part at a time. Workers get
about 50 bytes of each row in a group of several.
"""

from collections.abc import Iterable
from typing import final

import numpy as np
import pyarrow as pa
import xxhash

from ..base import ROWS
from ..grouping import Grouped, several, state
from ..plain_text import Punctuation, Side, compared


@final
class ExactDuplicates(Grouped):
    """The group of rows with the same text."""

    side: Side = "both"
    """Which text must be the same: `instruction`, `answer`, or each of both."""
    punctuation: Punctuation = "keep"
    """`ignore` compares letters and numbers alone."""

    @property
    def reads(self) -> pa.Schema:
        """The conversation, and the hash that names groups."""
        return pa.schema([ROWS.field("sample_id"), ROWS.field("messages")])

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

    def status(self, rows: pa.Table) -> pa.Array:
        """Return that every text can be compared."""
        return pa.array(["ok"] * len(rows), pa.string())
