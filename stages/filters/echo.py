"""Answers that only say the question again.

    repeated   share of the instruction's words in runs of `run` words that the answer repeats
    new        share of the answer's words that stand neither in the instruction nor in its input

An echo repeats nearly all of the instruction and adds no word. To answer in a sentence ("The
capital of France is Paris.") repeats it as well, but adds one; to rewrite, correct or pick from a
text repeats the text that was given, and not the sentence that says what to do with it. That
sentence is known where rows have an `input`; without one the instruction is the whole message, of
which such an answer leaves out the part that asks.

`copied_input` drops answers that are the input letter by letter. To sort what is sorted already, or
to correct what is correct, is answered so, too: it is off.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import pyarrow as pa
from pydantic import Field

from ..base import ROWS
from ..templates import answer_text
from ..text_facts import Text
from .base import Filter


@dataclass(frozen=True)
class Exchange:
    """A message and what was answered.

    Attributes:
        instruction: what to do.
        given: what to do it with: an Alpaca input, or "".
        answer: likewise.
    """

    instruction: str
    given: str
    answer: str


@final
class Echo(Filter):
    """Drops rows whose answer is the instruction again."""

    words: ClassVar[Mapping[str, str]] = {
        "echo": "its answer only says the instruction again",
        "copied_input": "its answer is the input again",
    }

    repeated: float = Field(default=0.9, gt=0, le=1)
    """Share of the instruction that an echo repeats at least."""
    new: float = Field(default=0.0, ge=0, le=1)
    """Share of new words that an echo has at most."""
    run: int = Field(default=4, ge=1)
    """Words in a row that count as repeated; all words of a shorter text."""
    fewest_words: int = Field(default=3, ge=1)
    """Words that an instruction must have; to "Hello" one answers "Hello"."""
    openers: tuple[str, ...] = ("you asked", "question", "the question is", "instruction")
    """What an answer may begin with before the echo; not counted as new words."""
    copied_input: bool = False
    """Drop answers that are the input, letter by letter."""

    @property
    def reads(self) -> pa.Schema:
        """The conversation, and where an Alpaca input begins."""
        return pa.schema([ROWS.field("messages"), ROWS.field("input_start")])

    @property
    def details(self) -> pa.Schema:
        """Both shares, of the answer that repeats most; null where there is nothing to compare."""
        return pa.schema([("repeated", pa.float32()), ("new", pa.float32())])

    def judge(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return whether an answer of the row is an echo."""
        messages, starts = (rows[name].to_pylist() for name in self.reads.names)
        found = [self._row(*row) for row in zip(messages, starts, strict=True)]
        reason, repeated, new = zip(*found, strict=True) if found else ((), (), ())
        return pa.table(
            {
                "reason": pa.array(reason, pa.string()),
                "repeated": pa.array(repeated, pa.float32()),
                "new": pa.array(new, pa.float32()),
            }
        )

    def _row(
        self, messages: list[Mapping[str, Any]], input_start: int | None
    ) -> tuple[str | None, float | None, float | None]:
        worst: tuple[float, float] | None = None
        for exchange in exchanges(messages, input_start):
            if self.copied_input and _copied(exchange):
                return "copied_input", None, None
            shares = self._shares(exchange)
            if shares is not None and (worst is None or _order(shares) > _order(worst)):
                worst = shares
        if worst is None:
            return None, None, None
        repeated, new = worst
        if repeated >= self.repeated and new <= self.new:
            return f"echo: {repeated:.2f} of the instruction", repeated, new
        return None, repeated, new

    def _shares(self, exchange: Exchange) -> tuple[float, float] | None:
        """Share of the instruction that is repeated, and of the answer that is new."""
        instruction, answer = _words(exchange.instruction), _words(exchange.answer)
        for opener in map(_words, self.openers):
            if answer[: len(opener)] == opener:
                answer = answer[len(opener) :]
                break
        if len(instruction) < self.fewest_words or not answer:
            return None
        known = {*instruction, *_words(exchange.given)}
        new = sum(word not in known for word in answer) / len(answer)
        return covered(instruction, answer, self.run), new


def exchanges(messages: list[Mapping[str, Any]], input_start: int | None) -> Iterator[Exchange]:
    """Return each answer with the user's message before it."""
    said: str | None = None
    first = True
    for message in messages:
        if message["role"] == "user":
            said = message["content"] or ""
        elif message["role"] == "assistant" and said is not None:
            at = input_start if first and input_start is not None else len(said)
            yield Exchange(said[:at], said[at:], answer_text(message))
            first = False


def covered(words: Sequence[str], by: Sequence[str], run: int) -> float:
    """Return the share of words in runs of `run` words that `by` has too."""
    n = min(run, len(words))
    runs = set(zip(*(by[i:] for i in range(n)), strict=False))
    marked = [False] * len(words)
    for at, gram in enumerate(zip(*(words[i:] for i in range(n)), strict=False)):
        if gram in runs:
            marked[at : at + n] = [True] * n
    return sum(marked) / len(words)


def _words(text: str) -> list[str]:
    return Text(text.lower()).real_words


def _copied(exchange: Exchange) -> bool:
    return bool(exchange.given.strip()) and exchange.given.strip() == exchange.answer.strip()


def _order(shares: tuple[float, float]) -> tuple[float, float]:
    """What makes one answer more of an echo than another."""
    return shares[0], -shares[1]
