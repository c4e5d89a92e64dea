"""Answers that loop, as language models do when they do not find an end.

    loop    the longest stretch in which the same words follow themselves three times or more, by
            all words; what is repeated has up to 50 words
    ratio   bytes of the text after zlib (level 9), by its bytes: low where nearly the same comes
            again and again, such as a numbered list of one sentence

Verses, tables and sums repeat themselves as well, but not most of their words one right after the
other. A word of 20 letters or more counts letter by letter, so that `hahaha…` is a loop too; so
does text without spaces.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, final

import numpy as np
import pyarrow as pa
from pydantic import Field

from ..base import ROWS
from ..sides import Side, texts_of
from ..text_facts import Text
from .base import Filter

TIMES = 3  # that the same must stand in a row
LONGEST = 50  # words of what is repeated
LONG_WORD = 20  # letters
FEWEST = 6  # words; a chorus of "no, no, no" is no loop
FEWEST_BYTES = 500  # shorter text compresses badly whatever it says


@final
class Repetition(Filter):
    """Drops rows with an answer that says the same again and again."""

    words: ClassVar[Mapping[str, str]] = {
        "loop": "its words are the same words again and again",
        "ratio": "nearly the same comes again and again in it",
    }

    side: Side = "answer"
    loop: float | None = Field(default=0.4, ge=0, le=1)
    """Largest share of words in a loop; null: not looked at."""
    ratio: float | None = Field(default=0.12, ge=0)
    """Smallest share of bytes that may be left; null: not looked at."""

    @property
    def reads(self) -> pa.Schema:
        """The conversation."""
        return pa.schema([ROWS.field("messages")])

    @property
    def details(self) -> pa.Schema:
        """Both values, of the worst answer; null where the text is too short."""
        return pa.schema([("loop", pa.float32()), ("ratio", pa.float32())])

    def judge(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return whether an answer of the row loops."""
        texts = texts_of(rows, self.side)
        loops = [max(_known(map(loop_share, row)), default=None) for row in texts]
        ratios = [min(_known(map(zlib_ratio, row)), default=None) for row in texts]
        reasons = [self._reason(*one) for one in zip(loops, ratios, strict=True)]
        return pa.table(
            {
                "reason": pa.array(reasons, pa.string()),
                "loop": pa.array(loops, pa.float32()),
                "ratio": pa.array(ratios, pa.float32()),
            }
        )

    def _reason(self, loop: float | None, ratio: float | None) -> str | None:
        if self.loop is not None and loop is not None and loop > self.loop:
            return f"loop: {loop:.2f} of its words"
        if self.ratio is not None and ratio is not None and ratio < self.ratio:
            return f"ratio: {ratio:.3f} of its bytes are left"
        return None


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def loop_share(text: str) -> float | None:
    """Return the share of words in the longest loop; None of fewer than `FEWEST` words."""
    units: list[str] = []
    for word in Text(text.lower()).real_words:
        units += word if len(word) >= LONG_WORD else [word]
    return longest_loop(units) / len(units) if len(units) >= FEWEST else None


def longest_loop(units: Sequence[str]) -> int:
    """Return how many units the longest stretch has that repeats itself `TIMES` times or more."""
    numbers: dict[str, int] = {}
    ids = np.array([numbers.setdefault(unit, len(numbers)) for unit in units], dtype=np.int64)
    longest = 0
    for period in range(1, min(LONGEST, len(ids) // TIMES) + 1):
        same = ids[period:] == ids[:-period]
        if np.count_nonzero(same) < (TIMES - 1) * period:
            continue
        breaks = np.flatnonzero(np.concatenate([[True], ~same, [True]]))
        run = int(np.diff(breaks).max()) - 1
        if run >= (TIMES - 1) * period:
            longest = max(longest, run + period)
    return longest


def zlib_ratio(text: str) -> float | None:
    """Return compressed bytes by bytes; None of fewer than `FEWEST_BYTES`."""
    given = text.encode("utf-8", "replace")
    return len(zlib.compress(given, 9)) / len(given) if len(given) >= FEWEST_BYTES else None
