"""Rows to token ids, with the exact place of every answer.

    exact     the whole text is tokenised once; a token belongs to the answer if it holds a
              character of it. The answer alone gets the same token ids, so that both passes score
              the same tokens.
    official  as the published codes do it: the answer begins after as many tokens as the text
              before it has when tokenised by itself, and the answer alone is tokenised anew. Where
              tokens merge across the boundary the two passes then score different tokens.

A sequence starts with the tokenizer's BOS if it has one; no EOS is added or scored, but where the
stage asks for an end of every answer (see `stages.endings`). A row longer than the window is cut at
its end (status `truncated`), and the answers alone are cut to the same answer tokens; a row whose
first answer lies wholly outside the window has no numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import ModelError
from .endings import Endings
from .templates import TemplateMismatch, Turn, turns

if TYPE_CHECKING:  # heavy
    from transformers import PreTrainedTokenizerBase

Tokenisation = Literal["exact", "official"]

ROOMY = 1 << 20  # tokens; nothing is cut
INCOMPLETE = "\N{REPLACEMENT CHARACTER}"  # stands for the bytes of a character that lacks some


@dataclass(frozen=True)
class Encoded:
    """One row as tokens.

    Attributes:
        status: ok, truncated, or why there are no numbers.
        ids: the whole conversation, cut at the window.
        answers: token range of each answer in `ids`; answers cut away are left out.
        alone: for each of `answers`, the ids of header and answer, and where the answer begins.
        answer_tokens, instruction_tokens: counted before the cut.
    """

    status: str
    ids: list[int] = field(default_factory=list)
    answers: list[tuple[int, int]] = field(default_factory=list)
    alone: list[tuple[list[int], int]] = field(default_factory=list)
    answer_tokens: int | None = None
    instruction_tokens: int | None = None


@dataclass(frozen=True)
class Encoder:
    """Tokenises rows for one model.

    Attributes:
        tokenizer: a Hugging Face tokenizer.
        template: see `stages.templates`.
        tokenisation: exact or official.
        window: tokens of the longest sequence.
        ends: every answer goes on to the token that ends it.
    """

    tokenizer: "PreTrainedTokenizerBase"
    template: str
    tokenisation: Tokenisation
    window: int
    ends: bool = False

    def __post_init__(self) -> None:
        if self.tokenisation == "exact" and not self.tokenizer.is_fast:
            raise ModelError(
                f"{type(self.tokenizer).__name__} gives no character offsets, which tokenisation "
                f"'exact' needs; use a fast tokenizer, or tokenisation 'official'"
            )

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> list[Encoded]:
        """Return each row's tokens; a row that cannot be cut into turns has a status instead."""
        cut = [self._turns(row) for row in rows]
        good = [row for row in cut if not isinstance(row, Encoded)]
        done = iter(self._exact(good) if self.tokenisation == "exact" else self._official(good))
        return [row if isinstance(row, Encoded) else next(done) for row in cut]

    def check(self, model: str) -> None:
        """Raise if tokenizer and template make nothing of the plainest conversation there is.

        Raises:
            ModelError: so every row would be without numbers.
        """
        messages = [
            {"role": "user", "content": "Say hello."},
            {"role": "assistant", "content": "Hello there."},
        ]
        row = {"messages": messages, "tools": None, "input_start": None}
        (found,) = replace(self, window=ROOMY).encode([row])
        if found.status in ("template_mismatch", "no_answer_tokens"):
            raise ModelError(
                f"model {model!r}: the tokenizer and the template {self.template!r} give no answer "
                f"for the plainest conversation there is ({found.status})"
            )
        if self.ends:
            self.endings.check(model, found.ids[found.answers[0][1] - 1])

    @cached_property
    def prefix(self) -> list[int]:
        """Ids that the tokenizer puts before a text by itself (BOS); none for a chat template."""
        if self.template == "chat":
            return []  # the template has written them
        bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        full = self.tokenizer("a")["input_ids"]
        for start in range(len(full) - len(bare) + 1):
            if full[start : start + len(bare)] == bare:
                return list(full[:start])
        return []

    @cached_property
    def endings(self) -> Endings:
        """What ends answers, where `ends` is set."""
        return Endings(self.tokenizer)

    def _turns(self, row: Mapping[str, Any]) -> list[Turn] | Encoded:
        try:
            found = turns(row, self.template, self.tokenizer)
        except TemplateMismatch:
            return Encoded("template_mismatch")
        return self.endings.of(found) if self.ends else found

    def _exact(self, rows: list[list[Turn]]) -> list[Encoded]:
        if not rows:
            return []
        texts = ["".join(turn.context + turn.answer for turn in row) for row in rows]
        batch = self.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
        prefix = self.prefix
        headers = list(dict.fromkeys(turn.header for row in rows for turn in row))
        header_ids = {
            header: prefix + ids
            for header, ids in zip(headers, self._batch_ids(headers), strict=True)
        }
        return [
            self._encode_exact(row, prefix + ids, np.array(offsets).reshape(-1, 2), header_ids)
            for row, ids, offsets in zip(
                rows, batch["input_ids"], batch["offset_mapping"], strict=True
            )
        ]

    def _encode_exact(
        self, row: list[Turn], ids: list[int], offsets: np.ndarray, headers: dict[str, list[int]]
    ) -> Encoded:
        n_prefix = len(ids) - len(offsets)
        spans, place = [], 0
        for turn in row:
            start = place + len(turn.context)
            place = start + len(turn.answer)
            # offsets rise, so the tokens that touch [start, place) are a range
            first = int(np.searchsorted(offsets[:, 1], start, "right"))
            last = int(np.searchsorted(offsets[:, 0], place, "left"))
            spans.append((n_prefix + first, n_prefix + last))
        alone = [
            (headers[turn.header] + ids[first:last], len(headers[turn.header]))
            for turn, (first, last) in zip(row, spans, strict=True)
        ]
        return self._cut(ids, spans, alone)

    def _official(self, rows: list[list[Turn]]) -> list[Encoded]:
        cuts = [self._official_texts(row) for row in rows]
        every = list(dict.fromkeys(text for cut in cuts for answer in cut for text in answer))
        texts = dict(zip(every, self._batch_ids(every), strict=True))  # each by itself, in one call
        prefix = self.prefix
        encoded = []
        for cut in cuts:
            spans = [
                (len(prefix) + len(texts[before]), len(prefix) + len(texts[through]))
                for before, through, _, _ in cut
            ]
            alone = [
                (prefix + texts[bare], len(prefix) + len(texts[header]))
                for _, _, header, bare in cut
            ]
            encoded.append(self._cut(prefix + texts[cut[-1][1]], spans, alone))
        return encoded

    def _official_texts(self, row: list[Turn]) -> list[tuple[str, str, str, str]]:
        """For each answer: the text before it, the text through it, its header, the two alone."""
        text, cut = "", []
        for turn in row:
            before = text + turn.context
            text = before + turn.answer
            cut.append((before, text, turn.header, turn.header + turn.answer))
        return cut

    def _batch_ids(self, texts: list[str]) -> list[list[int]]:
        return list(self.tokenizer(texts, add_special_tokens=False)["input_ids"]) if texts else []

    def _cut(
        self, ids: list[int], spans: list[tuple[int, int]], alone: list[tuple[list[int], int]]
    ) -> Encoded:
        """Cut everything at the window and name the result."""
        answer_tokens = sum(last - first for first, last in spans)
        counts = answer_tokens, len(ids) - answer_tokens
        kept: list[tuple[int, int]] = []
        kept_alone: list[tuple[list[int], int]] = []
        for (first, last), (answer, start) in zip(spans, alone, strict=True):
            if first >= self.window:
                break
            kept.append((first, min(last, self.window)))
            kept_alone.append((answer[: self._alone_window(first, last, start)], start))
        if not kept:
            return Encoded("instruction_too_long", [], [], [], *counts)
        if any(first >= last for first, last in kept):
            return Encoded("no_answer_tokens", [], [], [], *counts)
        whole = len(ids) <= self.window and all(
            len(short[0]) == len(answer[0])
            for short, answer in zip(kept_alone, alone, strict=False)
        )
        status = "ok" if whole else "truncated"
        return Encoded(status, ids[: self.window], kept, kept_alone, *counts)

    def _alone_window(self, first: int, last: int, start: int) -> int:
        """Tokens of header and answer that stay, so that both passes keep the same answer tokens.

        The published codes leave room for one token more where there is neither header nor BOS:
        the first token of such an answer is not scored.
        """
        if self.tokenisation == "official":
            return self.window - first + max(start, 1)
        return start + min(last, self.window) - first


def scored(first: int, last: int) -> np.ndarray:
    """Return the positions of the scored tokens in [first, last): the very first has no loss."""
    return np.arange(max(first, 1), max(last, 1))


def scored_rows(encoded: list[Encoded]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the places of the rows that have a loss, and the scored positions of each.

    All its answers count; the very first token of a sequence has no loss.
    """
    spans = [[scored(*span) for span in row.answers] for row in encoded]
    positions = [np.concatenate([*row, np.empty(0, np.int64)]) for row in spans]
    places = [i for i, some in enumerate(positions) if len(some)]
    return np.array(places, dtype=np.int64), [positions[i] for i in places]


def compared(row: Encoded, window: int) -> list[tuple[int, int]]:
    """Return for each answer the range in `ids` of the tokens that both passes score.

    Both are matched from the end of the answer, cut at the window.
    """
    ranges = []
    for (first, last), (ids, start) in zip(row.answers, row.alone, strict=True):
        n_alone = len(scored(start, min(len(ids), start + window - first)))
        n_shared = min(len(scored(first, last)), n_alone)
        ranges.append((last - n_shared, last))
    return ranges


def mismatched(row: Encoded, window: int) -> bool:
    """Whether the tokens that `compared` matches are not the same, but for two at the boundary.

    So it is where tokens merge across the boundary, and the window cuts both sequences: they then
    end at different tokens.
    """
    for (begin, _), (first, last), (ids, start) in zip(
        row.answers, compared(row, window), row.alone, strict=True
    ):
        alone = ids[: start + window - begin]
        if row.ids[first + 2 : last] != alone[len(alone) - (last - first) :][2:]:
            return True
    return False


def token_texts(
    tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int], first: int, last: int
) -> list[str]:
    """Return the text that each of the tokens [first, last) adds to those before it.

    A character belongs to the token that completes it.
    """
    texts, before = [], tokenizer.decode(list(ids[:first])).rstrip(INCOMPLETE)
    for end in range(first + 1, last + 1):
        through = tokenizer.decode(list(ids[:end])).rstrip(INCOMPLETE)
        pairs = enumerate(zip(before, through, strict=False))
        same = next((i for i, (a, b) in pairs if a != b), min(len(before), len(through)))
        texts.append(through[same:])
        before = through
    return texts
