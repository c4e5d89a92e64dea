"""Ratings by a causal LM of this machine: the probabilities of its rating tokens, in one pass.

    rating         sum over the scale of rating times probability
    probabilities  softmax over the rating tokens alone, at the position after the prompt
    mass           of these tokens together in the whole vocabulary: how far the model rates at all

Nothing is generated. A prompt with several criteria is asked once for each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import PrivateAttr, field_validator, model_validator

from ...errors import ModelError
from ...scorers.base import NUMBERED
from ..modelled import ModelStage
from ..prompt import Prompt, Question
from ..ratings import (
    Rating,
    as_columns,
    drawn,
    questions_about,
    rating_columns,
    selected,
)
from ..replies import Rated
from ..tokenize import Encoder, Tokenisation

if TYPE_CHECKING:  # torch and transformers
    from transformers import PreTrainedTokenizerBase

    from ..rating_tokens import NextWords, RatingTokens

TOO_LONG = "prompt_too_long"


@final
class RatingModel(Rating, ModelStage):
    """Expected ratings under one model."""

    template: Literal["auto", "chat", "none"] = "auto"
    """How the prompt is put to the model: by the tokenizer's chat template, or as plain text; auto:
    by the template where there is one."""

    _writer: "Writer | None" = PrivateAttr(default=None)

    @field_validator("template")
    @classmethod
    def _known_template(cls, template: str) -> str:
        return template  # one of three

    @model_validator(mode="after")
    def _tells_criteria_apart(self) -> Self:
        prompt = self._prompt
        if len({prompt.lead_of(name) for name in prompt.asked}) < len(prompt.asked):
            raise ValueError(
                f"prompt {self.prompt!r} has several criteria, so its lead needs "
                f"{{{{ criterion }}}}; a model would give them all the same rating"
            )
        return self

    @property
    def adds(self) -> pa.Schema:
        """Ratings and probabilities."""
        return rating_columns(self._prompt, replies=False)

    def setup(self) -> None:
        """Load the model, and find the tokens of the ratings."""
        self._lm = self._load(self.model, self.revision)
        self._writer = self._make_writer(self._lm.tokenizer)

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns."""
        if self._lm is None or self._writer is None:
            self.setup()
        assert self._lm is not None
        assert self._writer is not None
        from ..rating_tokens import NextPass  # torch

        self._spent = {}
        writer, prompt = self._writer, self._prompt
        asked = drawn(rows, self.share, self.seed or 0)
        questions = questions_about(prompt, rows, asked)
        texts = [writer.ids(question, name) for question in questions for name in prompt.asked]
        short = [place for place, ids in enumerate(texts) if len(ids) <= writer.window]
        found = NextPass(
            self._lm,
            [texts[place] for place in short],
            writer.tokens.ids,
            self.batch_tokens,
            "mass" in wanted,
        ).run()
        self._count(found)
        one_by_one: list[Rated] = [Rated(TOO_LONG)] * len(texts)
        for at, place in enumerate(short):
            one_by_one[place] = _rated(found, at, prompt)
        n = len(prompt.asked)
        rated = [_together(one_by_one[i : i + n], prompt) for i in range(0, len(texts), n)]
        return selected(as_columns(prompt, questions, rated, asked), wanted)

    def tokens_of(self, rows: pa.Table, wanted: Sequence[str]) -> np.ndarray | None:
        """Return the tokens of each row; loads a tokenizer, and no model."""
        from .. import models  # torch and transformers

        if self._writer is None:
            tokenizer = models.load_tokenizer(self.model, self.revision, self.trust_remote_code)
            self._writer = self._make_writer(tokenizer)
        prompt, counts = self._prompt, np.zeros(len(rows), np.int64)
        asked = drawn(rows, self.share, self.seed or 0)
        for question in questions_about(prompt, rows, asked):
            lengths = [len(self._writer.ids(question, name)) for name in prompt.asked]
            counts[question.row] += sum(n for n in lengths if n <= self._writer.window)
        return counts

    def _make_writer(self, tokenizer: "PreTrainedTokenizerBase") -> "Writer":
        from .. import models  # torch and transformers
        from ..rating_tokens import find_tokens

        if self.template == "chat" and not tokenizer.chat_template:
            raise ModelError(f"model {self.model!r} has no chat template; set template: none")
        chat = self.template != "none" and bool(tokenizer.chat_template)
        window = models.window_of(
            self.model, self.revision, self.max_tokens, self.trust_remote_code
        )
        prompt = self._prompt
        kind = "chat" if chat else "none"
        prefix = tuple(Encoder(tokenizer, kind, "official", window).prefix)
        writer = Writer(tokenizer, prompt, chat, window, prefix)
        example = Question(0, 0, "Be fair.", "Rate this.")
        every = [
            find_tokens(tokenizer, writer.text(example, name), prompt.tokens)
            for name in prompt.asked
        ]
        if len(set(every)) > 1:
            raise ModelError(f"model {self.model!r}: the rating tokens differ between criteria")
        return replace(writer, found=every[0])

    def _tokenised(self) -> Tokenisation:
        return "official"  # no answer is cut out


@dataclass(frozen=True)
class Writer:
    """Writes questions as a model reads them.

    Attributes:
        tokenizer: of the model.
        prompt: that is asked with.
        chat: by the tokenizer's chat template.
        window: tokens of the longest text.
        prefix: ids that the tokenizer puts before a plain text by itself.
        found: the tokens of the ratings.
    """

    tokenizer: "PreTrainedTokenizerBase"
    prompt: Prompt
    chat: bool
    window: int
    prefix: tuple[int, ...]
    found: "RatingTokens | None" = None

    @property
    def tokens(self) -> "RatingTokens":
        """The tokens of the ratings."""
        assert self.found is not None
        return self.found

    def text(self, question: Question, criterion: str) -> str:
        """Return what stands before the rating.

        Raises:
            ModelError: the chat template does not take such a conversation.
        """
        lead = self.prompt.lead_of(criterion)
        if not self.chat:
            parts = [question.system, question.user, lead]
            return "\n\n".join(part for part in parts[:2] if part) + (f"\n{lead}" if lead else "\n")
        return self._rendered(question) + lead

    def ids(self, question: Question, criterion: str) -> list[int]:
        """Return the tokens that stand before the rating."""
        from ..rating_tokens import plain_ids

        text = self.text(question, criterion) + self.tokens.space
        return [*self.prefix, *plain_ids(self.tokenizer, text)]

    def _rendered(self, question: Question) -> str:
        from jinja2.exceptions import TemplateError

        joined = {"role": "user", "content": f"{question.system}\n\n{question.user}".strip()}
        for messages in (question.messages, [joined]):  # some templates know no system message
            try:
                return str(
                    self.tokenizer.apply_chat_template(
                        messages, tokenize=False, add_generation_prompt=True
                    )
                )
            except TemplateError as error:
                why = error
        raise ModelError(f"the chat template refuses a plain conversation: {why}")


def _rated(found: "NextWords", at: int, prompt: Prompt) -> Rated:
    if found.status[at] not in NUMBERED:
        return Rated(str(found.status[at]))
    probabilities = found.probabilities[at]
    mass = float("nan") if found.mass is None else float(found.mass[at])
    rating = float(probabilities @ np.array(prompt.scale))
    return Rated("ok", rating, probabilities=probabilities, mass=mass)


def _together(of_criteria: Sequence[Rated], prompt: Prompt) -> Rated:
    """One question from what was asked for each of its criteria, the main one first."""
    main = of_criteria[0]
    if not prompt.criteria:
        return main
    wrong = next((one for one in of_criteria if one.status not in NUMBERED), None)
    if wrong is not None:
        return Rated(wrong.status)
    pairs = zip(prompt.asked, of_criteria, strict=True)
    criteria = {name: one.rating for name, one in pairs}
    return Rated(
        main.status, main.rating, criteria, probabilities=main.probabilities, mass=main.mass
    )
