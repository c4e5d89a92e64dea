"""Ratings by a model behind a server that speaks OpenAI's chat completions.

The texts of the rows are sent to that server. Each answer is kept in the store as it comes, by the
content of its question, and never asked for again: not after a crash, in another pool, in another
order, or for a row that is there twice. It runs in the process that began the run, so that limits
per minute and the cap of cost hold; the requests go out many at once.

A reply without a clear rating is `unparsable`; see docs/methods/ratings.md for all statuses.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, final
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import Field, PrivateAttr, field_validator, model_validator

from ...errors import ConfigError, NoAnswer, PlanError
from ..answers import Answer, Answers, folder_of
from ..asking import Asking
from ..base import Resources
from ..chat import Server, Unanswered
from ..locations import is_remote, locate, redacted
from ..pace import Pace, Purse, about
from ..ratings import (
    Rating,
    as_columns,
    drawn,
    questions_about,
    rating_columns,
    selected,
)
from ..replies import Rated, begins, expected, read_reply

LIMITS = ("max_tokens", "max_completion_tokens")
OWN = ("model", "messages", "temperature", *LIMITS, "logprobs", "top_logprobs", "stream", "n")
TOP = 20  # log-probabilities of a token that servers give at most


@final
class RatingServer(Rating):
    """Ratings from any OpenAI-compatible server."""

    neutral: ClassVar[frozenset[str]] = frozenset(
        {
            *("api_key_env", "concurrency", "requests_per_minute", "tokens_per_minute"),
            *("timeout_s", "retries", "max_cost", "price_in", "price_out", "limit_field"),
        }
    )

    base_url: str
    """Of the server, as `https://api.example.com/v1`; `/chat/completions` is put after it."""
    model: str
    """As the server calls it."""
    server: str | None = None
    """What names the server in place of its address, if the same model moves."""
    api_key_env: str | None = None
    """The environment variable that holds the key; the key itself is never written anywhere."""
    temperature: float | None = Field(default=0.0, ge=0)
    """null: not sent, for models that take none."""
    max_tokens: int = Field(default=256, ge=1)
    """Of a reply."""
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the server calls that; OpenAI's newer models take only the second."""
    logprobs: bool = False
    """Ask for log-probabilities: the rating is then the mean over those of the rating tokens."""
    request: Mapping[str, Any] = {}
    """Further fields of a request, such as `{top_p: 0.9}`."""
    asks: int = Field(default=1, ge=1, le=20)
    """How often a question is asked at most while its reply is unparsable."""
    asks_temperature: float = Field(default=1.0, ge=0)
    """Of all but the first asking."""
    unanswered: Literal["stop", "keep"] = "stop"
    """Where there is no answer after all retries: stop, and ask again in the next start; or keep
    that as the row's status."""
    attempt: int = Field(default=1, ge=1)
    """With `keep`: raise it to ask again for what had no answer."""
    concurrency: int = Field(default=8, ge=1, le=512)
    """Requests at once."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    timeout_s: float = Field(default=120.0, gt=0)
    """Of one try."""
    retries: int = Field(default=5, ge=0, le=20)
    """Further tries, each after a longer wait."""
    price_in: float = Field(default=0.0, ge=0)
    """Per million tokens of prompts."""
    price_out: float = Field(default=0.0, ge=0)
    """Per million tokens of replies."""
    max_cost: float | None = Field(default=None, gt=0)
    """At which the run stops, to be gone on with; of all starts together."""

    _root: str | None = PrivateAttr(default=None)
    _asking: Asking | None = PrivateAttr(default=None)
    _spent: dict[str, float] = PrivateAttr(default_factory=dict)

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, url: str) -> str:
        parts = urlsplit(url)
        try:
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # of a port
            known = False
        if not known or not url.isprintable() or " " in url:
            raise ValueError(f"{redacted(url)!r} is no address such as https://api.example.com/v1")
        if parts.username or parts.password or parts.query or parts.fragment or "@" in url:
            raise ValueError(
                "an address must hold no user, password, key or query: config.yaml and "
                "manifest.json keep it; name the variable that holds the key as api_key_env"
            )
        return url.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _a_name(cls, name: str | None) -> str | None:
        if name is not None and not (name.isidentifier() and name.isupper()):
            raise ValueError("it is the name of a variable in capitals, and not the key itself")
        return name

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if taken := sorted(set(OWN) & set(self.request)):
            raise ValueError(f"request must not hold {', '.join(taken)}")
        if self.max_cost is not None and not (self.price_in or self.price_out):
            raise ValueError(f"max_cost is {self.max_cost:g}, but price_in and price_out are 0")
        criteria, found_by = self._prompt.criteria, self._prompt.reply.find
        if len(criteria) > 1 and any("<criterion>" not in text for text in found_by):
            raise ValueError(f"prompt {self.prompt!r} has criteria: each find needs <criterion>")
        if self.logprobs and criteria:
            raise ValueError(f"logprobs are of one rating; prompt {self.prompt!r} asks for several")
        return self

    @property
    def adds(self) -> pa.Schema:
        """Ratings, replies and what else the prompt asks for."""
        return rating_columns(self._prompt, replies=True)

    def identity(self) -> dict[str, Any]:
        """Return the prompt's content in place of its address, and the server's name if any."""
        # whether a missing answer stops the run changes only what is kept without one
        without = ("base_url", "unanswered", "attempt")
        fields = {name: v for name, v in super().identity().items() if name not in without}
        fields["server"] = self.server or self.base_url
        return fields | ({"keep": self.attempt} if self.unanswered == "keep" else {})

    def resources(self) -> Resources:
        """The process that began the run, alone."""
        return Resources(here=True)

    def use_store(self, root: str) -> None:
        """Keep answers there.

        Raises:
            PlanError: the store is at an address, to which nothing can be added.
        """
        if is_remote(locate(root)):
            raise PlanError(
                f"a rating_server needs a store on this machine, for its answers are added to a "
                f"file as they come, and not {redacted(root)!r}"
            )
        self._root = root

    def setup(self) -> None:
        """Read the answers that there are, and find the key.

        Raises:
            ConfigError: the variable that should hold the key is not set.
        """
        key = os.environ.get(self.api_key_env or "", "").strip()
        if self.api_key_env and not key:
            raise ConfigError(f"api_key_env: the environment has no variable {self.api_key_env}")
        if not (key.isascii() and key.isprintable()):  # no header can hold it
            raise ConfigError(f"api_key_env: what stands in {self.api_key_env} is no key")
        answers = Answers(None if self._root is None else Path(self._root) / self._folder())
        purse = Purse(self.price_in, self.price_out, self.max_cost)
        purse.spent = purse.cost(answers.tokens_in, answers.tokens_out)
        pace = Pace(self.requests_per_minute, self.tokens_per_minute)
        url = f"{self.base_url}/chat/completions"
        words = self._prompt.tokens if self.logprobs else ()
        self._asking = Asking(
            Server(url, key, self.api_key_env, self.timeout_s, self.retries, pace, words),
            self._body(),
            answers,
            purse,
            self.concurrency,
            self.asks,
            {"temperature": self.asks_temperature},
            lambda answer: self._rated(answer).status == "ok",
            self.max_tokens,
        )

    def requests_of(self, rows: pa.Table) -> tuple[int, int, float]:
        """Return requests, tokens of their prompts, and the cost with the longest replies."""
        asked = drawn(rows, self.share, self.seed or 0)
        questions = questions_about(self._prompt, rows, asked)
        distinct = {(one.system, one.user) for one in questions}
        tokens = self.asks * sum(about(system + user) for system, user in distinct)
        requests = self.asks * len(distinct)
        purse = Purse(self.price_in, self.price_out)
        return requests, tokens, purse.cost(tokens, requests * self.max_tokens)

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns.

        Raises:
            NoAnswer: to some questions, and `unanswered` is `stop`.
        """
        if self._asking is None:
            self.setup()
        assert self._asking is not None
        asked = drawn(rows, self.share, self.seed or 0)
        asking, questions = self._asking, questions_about(self._prompt, rows, asked)
        before = dict(_figures(asking))
        try:
            answers = asking.run([question.messages for question in questions])
        finally:
            now = _figures(asking)
            self._spent = {name: now[name] - before[name] for name in now}
        self._check_answered(answers)
        found = [self._rated(answer) for answer in answers]
        columns = as_columns(self._prompt, questions, found, asked)
        return selected(columns, wanted)

    def spent(self) -> Mapping[str, float]:
        """Requests, their tokens and what these cost, and questions that were answered before."""
        return self._spent

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, self.limit_field: self.max_tokens}
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.logprobs:
            body |= {"logprobs": True, "top_logprobs": TOP}
        return body | dict(self.request)

    def _folder(self) -> str:
        """Where answers to such questions are kept: all that is sent, but for the rows."""
        return folder_of(
            {
                "server": self.server or self.base_url,
                "body": self._body(),
                "again": self.asks_temperature,
                "prompt": self._prompt.sent(),
            }
        )

    def _rated(self, answer: Answer | Unanswered) -> Rated:
        """What an answer says."""
        if isinstance(answer, Unanswered):
            return Rated(answer.status)
        if answer.refused:
            return Rated("refused", text=answer.text)
        found = read_reply(answer.text, self._prompt)
        if not self.logprobs:
            return found
        likely = expected(self._prompt, answer.tops)
        if likely is None or found.status != "ok" or not begins(found.rating, answer.tops):
            return Rated("unparsable", text=answer.text)
        probabilities, mass = likely
        rating = float(probabilities @ self._prompt.scale)
        return replace(found, rating=rating, probabilities=probabilities, mass=mass)

    def _check_answered(self, answers: Sequence[Answer | Unanswered]) -> None:
        lost = [one for one in answers if isinstance(one, Unanswered) and not one.final]
        if lost and self.unanswered == "stop":
            raise NoAnswer(self.base_url, Counter(one.status for one in lost))


def _figures(asking: Asking) -> dict[str, float]:
    return {
        "requests": asking.requests,
        "tokens_in": asking.tokens_in,
        "tokens_out": asking.tokens_out,
        "cost": asking.cost,
        "reused": asking.reused,
    }
