"""MinHash of a row's words, of which `near_duplicates` makes groups.

    bands      a hash for each band of the signature; like rows share one (`stages.minhashing`)
    signature  the share of places in which those of two rows agree is their Jaccard similarity

Over every `n` words that follow each other in the text without case and punctuation
(`stages.plain_text`; each sign of Chinese, Japanese or Thai is a word). As datatrove has it for
FineWeb (Penedo et al. 2024, arXiv 2406.17557): 5 words, 14 bands of 8 hashes, which two rows of a
similarity of .7 pass with probability .5645, of .8 with .9235; but numbers are kept as they are,
and not all written as 0.

A row of fewer than `n` words has no n-gram, so datatrove never finds it. Here its only band is the
hash of its text, with its punctuation: it is like rows that say just the same.
"""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import pyarrow as pa
import xxhash
from pydantic import Field

from ...scorers.signals import column_type
from ..base import ROWS, Stage
from ..grams import Lists, gram_hashes, word_hashes
from ..minhashing import bands, permutations, signatures
from ..plain_text import Punctuation, Side, compared, plain, texts, words


@final
class Minhash(Stage):
    """Signature and bands of each row; no model."""

    side: Side = "both"
    """Of the conversation: `both`, `instruction` or `answer`."""
    punctuation: Punctuation = "ignore"
    n: int = Field(default=5, ge=1)
    """Words of an n-gram."""
    bands: int = Field(default=14, ge=1)
    hashes: int = Field(default=8, ge=1)
    """Of each band."""
    seed: int = Field(default=1, ge=0, lt=1 << 63)
    """Of the hashes; not that of the run, so that runs share what is stored."""

    @property
    def reads(self) -> pa.Schema:
        """The conversation."""
        return pa.schema([ROWS.field("messages")])

    @property
    def adds(self) -> pa.Schema:
        """Bands and signature."""
        return pa.schema([(name, column_type(name)) for name in ("bands", "signature", "status")])

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns."""
        own = words(plain(texts(rows, self.side), self.punctuation))
        grams = gram_hashes(word_hashes(own), self.n)
        found = signatures(grams, permutations(self.seed, self.bands * self.hashes))
        columns: dict[str, Any] = {"status": pa.array(["ok"] * len(rows), pa.string())}
        if "signature" in wanted:
            columns["signature"] = _lists(found.ravel(), np.full(len(rows), found.shape[1]))
        if "bands" in wanted:
            columns["bands"] = self._bands(rows, grams, found)
        return pa.table({name: columns[name] for name in wanted})

    def _bands(self, rows: pa.Table, grams: Lists, found: np.ndarray) -> pa.Array:
        """Those of the signatures, and of a short row the hash of its text."""
        short = np.flatnonzero(grams.lengths == 0)
        values, count = bands(found, self.bands), np.full(len(rows), self.bands)
        texts = compared(rows.take(pa.array(short)), self.side, "keep").cast(pa.binary())
        values[short, 0] = [xxhash.xxh3_64_intdigest(text) for text in texts.to_pylist()]
        count[short] = 1
        there = np.arange(self.bands) < count[:, None]
        return _lists(values[there], count)


def _lists(values: np.ndarray, lengths: np.ndarray) -> pa.Array:
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(values))
