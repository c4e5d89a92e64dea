"""InsTag: how many things an instruction asks for, by the tags that a model gave it.

    score = number of different tags

Lu et al. 2023, arXiv 2308.07074. The tags are an input column: a list of texts, or one text with
commas between them. Case and spaces at the ends do not count. A row with an empty list has 0 tags;
one without a list has no score. The selector `tag_coverage` takes the rows that add tags, the most
complex first.
"""

from typing import final

import pyarrow as pa

from .base import Scorer


@final
class Tags(Scorer):
    """The number of different tags of a row."""

    column: str = "data.tags"

    @property
    def undefined(self) -> str:
        """Why a row has no score."""
        return "no_tags"

    @property
    def reads(self) -> pa.Schema:
        """The tags, as lists or as text."""
        return pa.schema([(self.column, pa.null())])

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Array:
        """Return the number of tags of each row, null for one that has no list."""
        found = tags_of(rows[self.column])
        counts = [None if tags is None else float(len(tags)) for tags in found]
        return pa.array(counts, pa.float64())


def tags_of(column: pa.ChunkedArray | pa.Array) -> list[frozenset[str] | None]:
    """Return the different tags of each row; None for one without.

    Args:
        column: lists of texts, or texts with commas; of another type no row has tags.
    """
    return [_tags(value) for value in column.to_pylist()]


def _tags(value: object) -> frozenset[str] | None:
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list):
        return None
    texts = [tag.strip().casefold() for tag in value if isinstance(tag, str)]
    return frozenset(tag for tag in texts if tag)
