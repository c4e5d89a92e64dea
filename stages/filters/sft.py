"""Rules of web-scale curation, set so that they do not harm instruction data.

Gopher (Rae et al. 2021, arXiv 2112.11446), C4 (Raffel et al. 2020) and FineWeb (Penedo et al. 2024,
arXiv 2406.17557) made their rules for pages of the web. Good answers break most of them: they are
short, have braces, lists and tables, repeat a phrase in every line, or are not English. So those
rules are off here, or bounded where only broken text goes; each is a setting, and with
`from_words: 0` and the published bounds the decisions are the published ones. Five rules of our own
find text that is empty, wrongly decoded or no words at all.

The rules stand in `stages.text_rules`. A row with several answers has the worst value of any.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, final

import pyarrow as pa
from pydantic import Field

from ..base import ROWS
from ..sides import texts_of
from ..text_facts import Text
from ..text_rules import RULES, WORDS, Rule
from .base import Filter

Bound = Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
"""Of a rule; null: the rule is off."""


@final
class Sft(Filter):
    """Drops rows that break a rule; the first broken one is the reason."""

    words: ClassVar[Mapping[str, str]] = WORDS

    side: Literal["answer", "instruction"] = "answer"
    from_words: int = Field(default=30, ge=0)
    """Words and signs that a text must have before shares in it mean something."""

    min_characters: Bound = 1
    mojibake: Bound = 0.02
    percent_escapes: Bound = 0.2
    mixed_characters: Bound = 0.12
    letter_pairs: Bound = 4.4
    unfinished: Bound = None
    duplicate_paragraphs: Bound = None
    duplicate_paragraph_chars: Bound = 0.5
    duplicate_lines: Bound = None
    duplicate_line_chars: Bound = 0.7
    top_2_gram: Bound = None
    top_3_gram: Bound = None
    top_4_gram: Bound = None
    duplicate_5_grams: Bound = None
    duplicate_6_grams: Bound = None
    duplicate_7_grams: Bound = None
    duplicate_8_grams: Bound = None
    duplicate_9_grams: Bound = None
    duplicate_10_grams: Bound = 0.5
    min_words: Bound = None
    max_words: Bound = 100_000
    min_mean_word: Bound = None
    max_mean_word: Bound = 15
    hashes: Bound = None
    ellipses: Bound = None
    bullet_lines: Bound = None
    ellipsis_lines: Bound = None
    alphabetic_words: Bound = None
    stop_words: Bound = None
    punctuated_lines: Bound = None
    short_lines: Bound = None
    repeated_line_chars: Bound = None
    line_breaks: Bound = None
    lorem_ipsum: Bound = None
    curly_brackets: Bound = None
    sentences: Bound = None

    @property
    def reads(self) -> pa.Schema:
        """The conversation."""
        return pa.schema([ROWS.field("messages")])

    @property
    def details(self) -> pa.Schema:
        """The value of each rule that is on; null where it says nothing of the text."""
        return pa.schema([(name, pa.float32()) for name in self._bounds])

    def judge(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return the first broken rule of each row with its value, and the values of all."""
        bounds = self._bounds
        found = [self._values(texts, bounds) for texts in texts_of(rows, self.side)]
        columns: dict[str, Any] = {
            name: pa.array([values[name] for values in found], pa.float32()) for name in bounds
        }
        reasons = [_broken(values, bounds) for values in found]
        return pa.table({"reason": pa.array(reasons, pa.string()), **columns})

    @property
    def _bounds(self) -> dict[str, float]:
        """The rules that are on, in their order."""
        given = {name: getattr(self, name) for name in RULES}
        return {name: bound for name, bound in given.items() if bound is not None}

    def _values(self, texts: list[str], bounds: Mapping[str, float]) -> dict[str, float | None]:
        each = [self._measured(text, bounds) for text in texts]
        return {name: _worst(RULES[name], [values[name] for values in each]) for name in bounds}

    def _measured(self, given: str, bounds: Mapping[str, float]) -> dict[str, float | None]:
        """The value of each rule for one text."""
        text = Text(given)
        if not given.strip():
            return {name: 0.0 if name == "min_characters" else None for name in bounds}
        long = len(text.words) >= self.from_words
        return {
            name: RULES[name].measure(text) if long or not RULES[name].shares else None
            for name in bounds
        }


def _worst(rule: Rule, values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return (max if rule.bad == "above" else min)(known, default=None)


def _broken(values: Mapping[str, float | None], bounds: Mapping[str, float]) -> str | None:
    """The first rule that a row breaks, with value and bound."""
    for name, bound in bounds.items():
        value = values[name]
        if value is not None and RULES[name].breaks(value, bound):
            return f"{name}: {value:.4g} is {RULES[name].bad} {bound:g}"
    return None
