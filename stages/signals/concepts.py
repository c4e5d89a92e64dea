"""The concepts of a row: its keyword phrases, as RAKE finds and ranks them. Needs no model.

    phrase   words in a row without a stop word, punctuation, line end or number between them
    word     score = deg / freq: freq phrases hold it, deg words are in these in all (itself, too)
    phrase   score = sum of its words'

Rose et al. 2010, "Automatic keyword extraction from individual documents". PASER's published code
takes all phrases of instruction, input and output in that order (`most: null`, `max_words: null`);
here the `most` best ones of `max_words` words at most. Longer ones are hardly ever said twice.

A word begins with a letter, digit or underscore, and holds combining marks as well, such as the
vowel signs of Hindi and Thai; apostrophes, hyphens and dots before one of a to z (node.js) can join
its parts, and ++ or # end it (c++, c#). Words are in lower case and composed (Unicode's NFC),
otherwise as they are written; stop words are scikit-learn's for English, with dots (e.g) or
without. In a text without English stop words a phrase is what stands between punctuation, and in
one without spaces a word is.
"""

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import ClassVar, final

import pyarrow as pa
from pydantic import Field

from ...scorers.signals import column_type
from ..base import ROWS, Stage
from ..templates import answer_text

LETTER = re.compile(r"[^\W\d_]")


@final
class Concepts(Stage):
    """The keyword phrases of all messages, best first, each once."""

    version: ClassVar[int] = 2

    most: int | None = Field(default=5, ge=1)
    """How many at most; null: all."""
    max_words: int | None = Field(default=3, ge=1)
    """Words of a phrase at most; null: any number."""

    @property
    def reads(self) -> pa.Schema:
        """The conversation."""
        return pa.schema([ROWS.field("messages")])

    @property
    def adds(self) -> pa.Schema:
        """A list of phrases."""
        return pa.schema([("concepts", column_type("concepts"))])

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the concepts of each row; an empty list where there are none."""
        found = [self._of(messages) for messages in rows["messages"].to_pylist()]
        column = pa.array(found, column_type("concepts"))
        return pa.table({"concepts": column}).select(list(wanted))

    def _of(self, messages: Iterable[dict[str, str | None]]) -> list[str]:
        texts = [
            answer_text(message) if message["role"] == "assistant" else message["content"] or ""
            for message in messages
        ]
        found = phrases("\n".join(texts))
        if self.max_words is not None:
            found = [phrase for phrase in found if len(phrase) <= self.max_words]
        return ranked(found)[: self.most]


def phrases(text: str) -> list[tuple[str, ...]]:
    """Return the candidate phrases of a text, in order, as often as they come."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # heavy

    found: list[tuple[str, ...]] = []
    words: list[str] = []
    for token in [*_token().findall(unicodedata.normalize("NFC", text)), "\n"]:
        word = unicodedata.normalize("NFC", token.lower())
        if LETTER.search(word) and word.replace(".", "") not in ENGLISH_STOP_WORDS:
            words.append(word)
        elif words:
            found.append(tuple(words))
            words = []
    return found


@cache
def _token() -> re.Pattern[str]:
    """A word, a line end, or what else stands together; a word of `re` does not hold marks."""
    marks = [
        point for point in range(sys.maxunicode + 1) if unicodedata.category(chr(point))[0] == "M"
    ]
    starts = [point for before, point in pairwise([-2, *marks]) if point != before + 1]
    ends = [point for point, after in pairwise([*marks, -2]) if after != point + 1]
    inside = "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(starts, ends, strict=True))
    joiners = "\u200c\u200d"  # between letters of one word in Persian and the scripts of India
    part = rf"\w[\w{inside}{joiners}]*"
    return re.compile(
        rf"{part}(?:(?:['\u2019-]|\.(?=[a-z])){part})*(?:(?:\+\+|\#)(?!\w))?|\n|[^\w\s]+"
    )


def ranked(found: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the distinct phrases, best first; equal ones by alphabet."""
    freq: Counter[str] = Counter()
    degree: Counter[str] = Counter()
    for phrase in found:
        for word in phrase:
            freq[word] += 1
            degree[word] += len(phrase)
    scores = {
        " ".join(phrase): sum(degree[word] / freq[word] for word in phrase) for phrase in found
    }
    return sorted(scores, key=lambda phrase: (-scores[phrase], phrase))
