"""One question to a server that speaks OpenAI's chat completions, tried until there is an answer.

What may pass is tried again, each time after a longer wait with some chance in it, or after what
the server asks for (`Retry-After`): no connection, timeouts, 429, 5xx and replies that are not what
they should be. What no repetition changes ends the run at once (a key or model that the server does
not take), or is that question's own (`rejected: 400`).

The key goes into one header and nowhere else; where a server should repeat it, it is blotted out.
"""

import asyncio
import json
import logging
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, LimitReached, RemoteError
from .answers import Answer
from .pace import Pace

if TYPE_CHECKING:
    import httpx2

log = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
PATIENCE_S = 300.0  # a server that asks for a longer wait is asked again in another start
MOST_BYTES = 8 << 20  # of a reply
SAID = 300  # characters of a server's message that are shown
SECRET = 8  # characters of the shortest key that is looked for in replies; "x" and "0" are none
MOST_TOKENS = 1 << 40  # of a request, whatever a server says
MALFORMED = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError),
    *(OverflowError, RecursionError),
)
"""What comes of taking JSON for what it is not."""
RATE_LIMITED, SLOWER = "rate_limited", 4  # times the other waits
OF_THE_QUESTION = (400, 413, 422)
USED_UP = ("insufficient_quota", "insufficient_balance", "billing_hard_limit_reached")


class Unanswered(Exception):
    """A question without an answer, however often it was asked.

    Attributes:
        status: of its row.
        final: asking again changes nothing.
        said: the server's own words.
    """

    def __init__(self, status: str, final: bool = False, said: str = "") -> None:
        super().__init__(status)
        self.status, self.final, self.said = status, final, said


@dataclass(frozen=True)
class Server:
    """Where and how it is asked.

    Attributes:
        url: of the completions.
        key: for the header; empty for none.
        key_name: of the variable that holds it, for messages.
        timeout_s: of one try, from the first byte sent to the last one received.
        retries: further tries.
        pace: shared by all questions.
        words: the rating tokens; the position of the first one in a reply is looked at.
    """

    url: str
    key: str = field(default="", repr=False)
    key_name: str | None = None
    timeout_s: float = 120.0
    retries: int = 5
    pace: Pace = field(default_factory=Pace)
    words: tuple[str, ...] = ()

    def client(self, connections: int) -> "httpx2.AsyncClient":
        """Return what sends requests; TLS certificates are verified, redirects not followed."""
        import httpx2  # a quarter of a second

        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        return httpx2.AsyncClient(headers=headers, limits=limits, timeout=self.timeout_s)

    async def ask(
        self, client: "httpx2.AsyncClient", body: Mapping[str, Any], tokens: int
    ) -> Answer:
        """Return the answer to a request.

        Args:
            client: from `client`.
            body: of the request.
            tokens: that it takes at most, about.

        Raises:
            Unanswered: there is none.
            ConfigError: there will be none to any question.
            LimitReached, RemoteError: not in this start.
        """
        for number in range(self.retries + 1):
            await self.pace.turn(tokens)
            try:
                return await self._try(client, body)
            except _Again as again:
                if again.wait_s is not None and again.wait_s > PATIENCE_S:
                    raise RemoteError(
                        self.url, f"it asks to wait {again.wait_s:,.0f} s; start again then"
                    ) from None
                if number == self.retries:
                    raise Unanswered(again.status, said=again.said) from None
                first = FIRST_WAIT_S * (SLOWER if again.status == RATE_LIMITED else 1)
                wait = min(first * 2**number, LONGEST_WAIT_S) * random.uniform(0.5, 1.5)
                if again.wait_s is not None:
                    self.pace.hold(again.wait_s)
                    wait = max(wait, again.wait_s)
                log.info("%s: %s; tried again in %.1f s", self.url, again.status, wait)
                await asyncio.sleep(wait)
        raise AssertionError  # the last try raises

    async def _try(self, client: "httpx2.AsyncClient", body: Mapping[str, Any]) -> Answer:
        import httpx2

        try:
            async with (
                asyncio.timeout(self.timeout_s),
                client.stream("POST", self.url, json=dict(body)) as response,
            ):
                raw = bytearray()
                async for piece in response.aiter_bytes():
                    raw += piece
                    if len(raw) > MOST_BYTES:
                        raise _Again("bad_reply", said=f"more than {MOST_BYTES} bytes")
                headers = {name.lower(): value for name, value in response.headers.items()}
                return self._said(response.status_code, headers, bytes(raw))
        except httpx2.InvalidURL as error:
            raise ConfigError(f"{self.url} is no address: {error}") from None
        except (TimeoutError, httpx2.TimeoutException):
            raise _Again("timeout") from None
        except httpx2.DecodingError:
            raise _Again("bad_reply") from None
        except httpx2.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise ConfigError(f"{self.url}: its TLS certificate cannot be verified") from None
            raise _Again("no_connection", said=self._clean(str(error))) from None

    def _said(self, code: int, headers: Mapping[str, str], raw: bytes) -> Answer:
        """The answer in a response, or what to make of it."""
        text = raw.decode("utf-8", "replace")
        if code == 200:
            answer = read_answer(text, self.words)
            blotted = self._blotted(answer.text), self._blotted(answer.finish)
            return replace(answer, text=blotted[0], finish=blotted[1])
        said, kind = _message(text)
        said, wait = self._clean(said), _wait_of(headers.get("retry-after"))
        if code in (401, 403):
            key = f"the key in {self.key_name}" if self.key else "a request without api_key_env"
            raise ConfigError(f"{self.url} does not take {key} ({code}): {said}")
        if code in (404, 405) or 300 <= code < 400:
            raise ConfigError(
                f"{self.url} has no such model or address ({code}): {said}; look at base_url "
                f"(mostly …/v1) and model"
            )
        if code == 402 or kind in USED_UP:
            raise LimitReached(
                f"{self.url} says that what is paid for is used up: {said}; all answers so far are "
                f"kept, start again to go on"
            )
        if code == 429:
            raise _Again(RATE_LIMITED, wait, said)
        if code not in OF_THE_QUESTION:
            raise _Again("timeout" if code == 408 else f"server_error: {code}", wait, said)
        if kind in ("content_filter", "content_policy_violation"):
            return Answer("", "content_filter", refused=True)
        raise Unanswered(f"rejected: {code}", final=True, said=said)

    def _clean(self, text: str) -> str:
        """A server's words as one short line, without the key."""
        shown = "".join(c for c in " ".join(text.split()) if c.isprintable())
        return (shown.replace(self.key, "***") if self.key else shown)[:SAID]

    def _blotted(self, text: str) -> str:
        """A reply without the key, where it is long enough not to be there by chance."""
        return text.replace(self.key, "***") if len(self.key) >= SECRET else text


class _Again(Exception):
    """A try that came to nothing; the next one may not."""

    def __init__(self, status: str, wait_s: float | None = None, said: str = "") -> None:
        super().__init__(status)
        self.status, self.wait_s, self.said = status, wait_s, said


def read_answer(text: str, words: Sequence[str] = ()) -> Answer:
    """Return what a completion says.

    Args:
        text: JSON.
        words: of ratings: the log-probabilities at the first token that is one are kept.
    """
    try:
        found = json.loads(text)
        choice = found["choices"][0]
        message = choice["message"]
        content = message.get("content")
        refusal = message.get("refusal")
        finish = str(choice.get("finish_reason") or "")
        usage = found.get("usage") or {}
        sent, came = (
            min(max(int(usage.get(name) or 0), 0), MOST_TOKENS)
            for name in ("prompt_tokens", "completion_tokens")
        )
    except MALFORMED:
        raise _Again("bad_reply") from None
    refused = bool(refusal) or finish == "content_filter"
    if not isinstance(content, str) and not refused:
        if content is None and finish:  # all its tokens went into thoughts, for instance
            content = ""
        else:
            raise _Again("bad_reply")
    said = content if isinstance(content, str) else str(refusal or "")
    said = said.encode("utf-8", "replace").decode()  # half a character has no place in a column
    return Answer(said, finish, sent, came, _tops(choice.get("logprobs"), words), refused)


def _tops(logprobs: object, words: Sequence[str]) -> dict[str, float]:
    """The log-probabilities of the ratings where the first of them stands in the reply."""
    places = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    for place in places if isinstance(places, list) else []:
        if not isinstance(place, Mapping) or str(place.get("token", "")).strip() not in words:
            continue
        found = {}
        others = place.get("top_logprobs")
        for one in [place, *(others if isinstance(others, list) else [])]:
            value = one.get("logprob") if isinstance(one, Mapping) else None
            if isinstance(value, int | float) and math.isfinite(value):
                token = str(one.get("token", ""))
                if token.strip() in words:
                    found[token] = min(float(value), 0.0)
        return found
    return {}


def _message(text: str) -> tuple[str, str]:
    """What a server says went wrong, and how it calls it."""
    try:
        error = json.loads(text)["error"]
        if isinstance(error, str):
            return error, ""
        return str(error.get("message", "")), str(error.get("code") or error.get("type") or "")
    except MALFORMED:
        return text, ""


def _wait_of(retry_after: str | None) -> float | None:
    """The seconds that a header asks to wait: a number, or a date."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            when = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        seconds = (when - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None
