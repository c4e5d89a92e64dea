"""Many questions to one server at once: what is known is not asked, what comes is kept at once.

A question whose reply has no rating is asked again, if that is wished; each asking has its own
place among the answers. When the run has to stop, as at its cap of cost, no new question goes out,
and those that are out are waited for: what is paid for is kept.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, LimitReached, RemoteError, TamisError
from .answers import Answer, Answers, name_of
from .chat import Server, Unanswered
from .pace import Purse, about

if TYPE_CHECKING:
    import httpx2

log = logging.getLogger(__name__)

Messages = Sequence[Mapping[str, str]]
HOPELESS = 5  # questions, of which a server rejects each one: it is not the questions
LOST = 20  # questions in a row without an answer: it is not the questions
SAID_S = 30.0  # between lines in the log


@dataclass
class Asking:
    """How questions are asked, and what became of them.

    Attributes:
        server: that is asked.
        body: of a request, without its messages.
        answers: that there are.
        purse: what they cost.
        concurrency: requests at once.
        asks: how often one question is asked at most, until its reply is usable.
        again: what of the body is different when a question is asked again.
        usable: whether a reply is.
        reserve: tokens of the longest reply.
        requests, tokens_in, tokens_out, cost: of what was asked.
        reused: questions that were answered before.
    """

    server: Server
    body: Mapping[str, Any]
    answers: Answers
    purse: Purse
    concurrency: int = 8
    asks: int = 1
    again: Mapping[str, Any] = field(default_factory=dict)
    usable: Callable[[Answer], bool] = lambda answer: True
    reserve: int = 0
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    reused: int = 0
    _stop: TamisError | OSError | None = None
    _in_a_row: int = 0
    _rejected: int = 0
    _why: str = ""
    _lost: set[str] = field(default_factory=set)
    _answered: int = 0
    _said: float = field(default_factory=time.monotonic)

    def run(self, questions: Sequence[Messages]) -> list[Answer | Unanswered]:
        """Return the answer to each question, or why there is none.

        Raises:
            ConfigError: the server takes no questions of this kind.
            LimitReached: the cap of cost, or what is paid for, is reached.
            RemoteError: the server is not there.
        """
        from anyio.from_thread import start_blocking_portal  # a loop of its own, in a notebook too

        names = [name_of(messages, 0) for messages in questions]
        distinct = dict(zip(names, questions, strict=True))
        found: dict[str, Answer | Unanswered] = {}
        self._stop, self._in_a_row = None, 0
        try:
            with start_blocking_portal() as portal:  # what interrupts this cancels that
                portal.call(self._all, distinct, found)
        finally:
            self.answers.sync()
        self._check_hopeless(HOPELESS)
        if self._stop is not None:
            raise self._stop
        return [found[name] for name in names]

    async def _all(
        self, questions: Mapping[str, Messages], found: dict[str, Answer | Unanswered]
    ) -> None:
        waiting = iter(questions.items())
        total = len(questions)

        async def work(client: "httpx2.AsyncClient") -> None:
            for name, messages in waiting:  # shared: each takes the next one
                if self._stop is not None:
                    return
                found[name] = await self._one(client, messages)
                self._say(len(found), total)

        async with self.server.client(self.concurrency) as client, asyncio.TaskGroup() as group:
            for _ in range(min(self.concurrency, total)):
                group.create_task(work(client))

    async def _one(self, client: "httpx2.AsyncClient", messages: Messages) -> Answer | Unanswered:
        """Ask a question until its reply is usable; a reason to stop is noted."""
        answer: Answer | None = None
        try:
            for number in range(self.asks):
                answer = await self._asked(client, messages, number)
                if answer.refused or self.usable(answer):
                    break
            assert answer is not None
            return answer
        except Unanswered as why:
            self._count_lost(why)
            return why
        except (TamisError, OSError) as error:  # such as a full disk
            self._stop = self._stop or error
            return answer or Unanswered("not_asked")

    async def _asked(self, client: "httpx2.AsyncClient", messages: Messages, number: int) -> Answer:
        name = name_of(messages, number)
        if (known := self.answers.get(name)) is not None:
            self.reused += 1
            return known
        length = about("".join(text for message in messages for text in message.values()))
        reserved = self.purse.cost(length, self.reserve)
        if not self.purse.reserve(reserved):
            raise LimitReached(
                f"max_cost is {self.purse.most:g}, and {self.purse.spent:.4f} are spent in all "
                f"starts; every answer is kept, raise max_cost to go on"
            )
        cost = 0.0
        try:
            body = {**self.body, **(self.again if number else {}), "messages": list(messages)}
            answer = await self.server.ask(client, body, length + self.reserve)
            tokens = answer.tokens_in or length, answer.tokens_out or about(answer.text)
            answer = replace(answer, tokens_in=tokens[0], tokens_out=tokens[1])
            cost = self.purse.cost(*tokens)
        finally:
            self.purse.settle(reserved, cost)
        self.answers.add(name, answer)
        self.requests += 1
        self.tokens_in, self.tokens_out = self.tokens_in + tokens[0], self.tokens_out + tokens[1]
        self.cost += cost
        self._answered, self._in_a_row = self._answered + 1, 0
        return answer

    def _count_lost(self, why: Unanswered) -> None:
        """Note a reason to stop where it is not the question."""
        said = f": {why.said}" if why.said else ""
        first = why.status not in self._lost  # the others are in the log alone
        self._lost.add(why.status)
        log.log(logging.WARNING if first else logging.INFO, "%s: %s%s", self.server.url, why, said)
        if why.final:
            self._rejected, self._why = self._rejected + 1, f"({why.status}){said}"
            # a rejection comes at once, an answer takes its time: those that are out may have one
            self._check_hopeless(HOPELESS * self.concurrency)
            return
        self._in_a_row += 1
        if self._in_a_row >= LOST:
            self._stop = self._stop or RemoteError(
                self.server.url,
                f"{self._in_a_row} questions in a row had no answer, the last one: {why.status}"
                f"{said}; what was answered is kept, start again to go on",
            )

    def _check_hopeless(self, most: int) -> None:
        """Note a reason to stop where so many questions were rejected, and none was answered."""
        if self._rejected >= most and not self._answered and not self.reused:
            self._stop = self._stop or ConfigError(
                f"{self.server.url} rejects every question {self._why}"
            )

    def _say(self, done: int, total: int) -> None:
        if time.monotonic() - self._said > SAID_S:
            self._said = time.monotonic()
            log.info("%s: %d of %d questions, cost %.4f", self.server.url, done, total, self.cost)
