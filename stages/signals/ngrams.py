r"""Hashed n-gram counts of the text of each row, as DSIR makes them.

The text in lower case is cut into words and runs of other signs, `\w+|[^\w\s]+` (the WordPunct
tokens of NLTK), and every n-gram of 1 to `n` tokens, joined by spaces, counts in the bucket

    sha256(n-gram) mod buckets

of one table. A text of L tokens has 2 L - 1 n-grams up to n = 2. Source: Xie et al. 2023, arXiv
2302.03169, and its code (p-lambda/dsir). A row keeps its buckets in rising order and the counts of
these, and so a hundred or two numbers in place of 10,000. The n-grams of a part are told apart
before they are hashed, which makes the published hash cheap enough to be the only one.

Texts of several messages are joined by line breaks; an n-gram may reach from one into the next.
"""

import hashlib
import re
from collections.abc import Sequence
from itertools import chain
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ...scorers.signals import column_type
from ..base import ROWS, Stage
from .embedding import View, text_of

TOKENS = re.compile(r"\w+|[^\w\s]+").findall
COLUMNS = ("buckets", "counts", "tokens", "status")


@final
class Ngrams(Stage):
    """Counts of n-grams by bucket, and of tokens."""

    text: View = "both"
    n: int = Field(default=2, ge=1)
    """Tokens of the longest n-gram."""
    buckets: int = Field(default=10_000, ge=1, lt=1 << 31)

    @property
    def reads(self) -> pa.Schema:
        """The conversation."""
        return pa.schema([ROWS.field("messages")])

    @property
    def adds(self) -> pa.Schema:
        """Buckets and their counts, the tokens, and why a row has none."""
        return pa.schema([(name, column_type(name)) for name in COLUMNS])

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns."""
        texts = [text_of(messages, self.text) for messages in rows["messages"].to_pylist()]
        words = [TOKENS(text.lower()) for text in texts]
        lengths = np.array([len(row) for row in words], dtype=np.int64)
        empty = pa.array(lengths == 0)
        columns = {
            "tokens": pa.array(lengths, pa.int32()),
            "status": pa.array(np.where(lengths == 0, "no_text", "ok"), pa.string()),
        }
        if {"buckets", "counts"} & set(wanted):
            row, bucket = hashed(words, self.n, self.buckets)
            places, counts = np.unique(row * self.buckets + bucket, return_counts=True)
            sizes = np.bincount(places // self.buckets, minlength=len(rows))
            offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
            for name, flat in (("buckets", places % self.buckets), ("counts", counts)):
                values = pa.array(flat.astype(np.int32))
                columns[name] = pa.ListArray.from_arrays(offsets, values, mask=empty)
        return pa.table({name: columns[name] for name in wanted})


def hashed(words: Sequence[Sequence[str]], n: int, buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and the bucket of every n-gram, two arrays of (n-grams,) int64.

    Args:
        words: the tokens of each row.
        n: tokens of the longest n-gram.
        buckets: how many there are.
    """
    flat = pa.array(list(chain.from_iterable(words)), pa.string()).cast(pa.binary())
    coded = flat.dictionary_encode()
    vocabulary = grams = coded.dictionary
    token = np.asarray(coded.indices, dtype=np.int64)
    row = np.repeat(np.arange(len(words)), np.array([len(own) for own in words], dtype=np.int64))
    gram, owner = token, row
    rows, found = [row], [_buckets(grams, buckets)[gram]]
    for longer in range(1, n):
        inside = owner[: len(row) - longer] == row[longer:]
        size = max(len(vocabulary), 1)
        pairs = gram[: len(inside)][inside] * size + token[longer:][inside]
        each, which = np.unique(pairs, return_inverse=True)
        heads, tails = grams.take(pa.array(each // size)), vocabulary.take(pa.array(each % size))
        grams = pc.binary_join_element_wise(heads, tails, b" ")
        rows.append(owner[: len(inside)][inside])
        found.append(_buckets(grams, buckets)[which])
        # what no longer n-gram begins at is not looked at again
        gram, owner = np.full(len(inside), -1), np.where(inside, owner[: len(inside)], -1)
        gram[inside] = which
    return np.concatenate(rows), np.concatenate(found)


def _buckets(grams: pa.Array, buckets: int) -> np.ndarray:
    """The bucket of each n-gram: its hash is a number of four 64-bit digits, highest first."""
    digests = b"".join([hashlib.sha256(gram).digest() for gram in grams.to_pylist()])
    digits = np.frombuffer(digests, ">u8").reshape(-1, 4).astype(np.uint64)
    size, base = np.uint64(buckets), np.uint64((1 << 64) % buckets)
    rest = np.zeros(len(digits), np.uint64)
    for digit in digits.T:
        rest = (rest * base + digit % size) % size  # below 2^63, as buckets are below 2^31
    return rest.astype(np.int64)
