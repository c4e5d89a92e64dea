"""Rows that hold the text of test items with small changes: fuzzy match, meant for code.

    ratio  share of the characters that need not be changed, at the best place of the longer text:
           RapidFuzz's `partial_ratio` / 100 of the item's text in the row's, or `ratio` / 100 where
           the row's is the shorter one

as Riddell et al. (2024, arXiv 2403.04811) slide a window of the length of a reference solution over
a corpus, but only over rows that share `n` words one after the other with the item, and at every
place instead of every twentieth. Texts in lower case, white space as one space, punctuation kept.
Renamed variables cost their letters; a program that does the same in another way is not found.

Needs rapidfuzz: pip install 'tamis[fuzzy]'.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, final

import numpy as np
import pyarrow as pa
from pydantic import Field

from ...errors import PlanError
from ..grams import Lists, gram_hashes, word_hashes
from ..overlap import pairs_with
from ..plain_text import Side, plain, texts, words
from .held_out import HeldOut, Touch

STATE = pa.schema(
    [
        ("target", pa.int32()),
        ("item", pa.int32()),
        ("text", pa.string()),
        ("grams", pa.list_(pa.uint64())),
    ]
)


@final
class FuzzyContamination(HeldOut):
    """Drops rows that hold nearly the text of a test item."""

    measure: ClassVar[str] = "ratio"

    side: Side = "answer"
    """Which text of rows and items is compared: `answer`, `instruction` or `both`."""
    n: int = Field(default=4, ge=1)
    """Words one after the other that a row must share with an item to be compared with it."""
    threshold: float = Field(default=0.8, gt=0, le=1)
    """A row with this ratio or more is dropped."""
    shortest: int = Field(default=40, ge=1)
    """Characters; shorter items, and rows, are not compared: a line can be like any other."""

    def aim(self, targets: Mapping[str, pa.Table]) -> pa.Table:
        """Return texts and n-grams of the items.

        Raises:
            PlanError: rapidfuzz is not installed.
        """
        _ratio()
        lines = []
        for number, name in enumerate(self.targets):
            said, grams = self._texts(targets[name])
            offsets = pa.array(grams.starts, pa.int32())
            lists = pa.ListArray.from_arrays(offsets, pa.array(grams.values))
            n = len(said)
            columns = [[number] * n, range(n), said, lists]
            types = zip(columns, STATE.types, strict=True)
            arrays = [c if isinstance(c, pa.Array) else pa.array(c, kind) for c, kind in types]
            lines.append(pa.table(arrays, schema=STATE))
        return pa.concat_tables([STATE.empty_table(), *lines]).combine_chunks()

    def judge(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return reasons, and the item that a row is most like.

        Raises:
            ValueError: nothing was aimed at.
        """
        if fitted is None:
            raise ValueError("fuzzy_contamination needs the texts that `aim` finds in the targets")
        return self.judged(len(rows), self._touches(rows, fitted), self.threshold)

    def _touches(self, rows: pa.Table, fitted: pa.Table) -> Iterator[Touch]:
        ratio = _ratio()
        said, grams = self._texts(rows)
        lists = fitted["grams"].combine_chunks()
        items = Lists(np.asarray(lists.flatten()), np.asarray(lists.offsets, np.int64))
        own, other = said.to_pylist(), fitted["text"].to_pylist()
        numbers = fitted["target"].to_pylist(), fitted["item"].to_pylist()
        for row, item in pairs_with(grams, items):
            if min(len(own[row]), len(other[item])) >= self.shortest:
                value = ratio(other[item], own[row])
                yield Touch(row, numbers[0][item], numbers[1][item], value, {})

    def _texts(self, rows: pa.Table) -> tuple[pa.Array, Lists]:
        """The texts that are compared, and their n-grams."""
        found = texts(rows, self.side)
        grams = gram_hashes(word_hashes(words(plain(found, "ignore"))), self.n)
        return plain(found, "keep"), grams


def _ratio() -> Callable[[str, str], float]:
    """How like the text of an item is to that of a row, in [0, 1]."""
    try:
        from rapidfuzz import fuzz
    except ImportError as error:
        raise PlanError(
            "fuzzy_contamination needs rapidfuzz: pip install 'tamis[fuzzy]'"
        ) from error

    def ratio(item: str, row: str) -> float:
        score = fuzz.partial_ratio if len(row) >= len(item) else fuzz.ratio
        return round(score(item, row) / 100, 6)

    return ratio
