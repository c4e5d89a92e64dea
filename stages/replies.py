"""The rating in a reply: a number that stands where the prompt says, or none at all.

What is not clearly a rating is `unparsable`, and never a number: the AlpaGasus code takes a single
*character* where a reply is not as expected, and -1 where that is no digit, so that "10/10" counts
as 1, and a failure as the worst of ratings.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .prompt import Prompt

NUMBER = r"(?<![\w.,+-])(?P<number>[+-]?\d+(?:\.\d+)?)(?![\w%]|[.,]\d|\s*[-\u2013]\s*\d)"
"""Neither of 3-4, nor of 1,5 or 50%."""
OF = re.compile(r"\W{0,2}\s*(?:/|out\s+of)\s*(\d+)", re.IGNORECASE)
LONGEST = 20_000  # characters of a reply that are looked at


@dataclass(frozen=True)
class Rated:
    """What came of one question.

    Attributes:
        status: ok, or why there is no rating.
        rating: the main number; NaN where there is none.
        criteria: by name, where a prompt has several.
        labels: by name; None for a word that is not allowed.
        probabilities: of the ratings, (scale,), together 1; None where nobody gave any.
        mass: of all rating tokens together in the full distribution; NaN likewise.
        text: the reply as it came.
    """

    status: str
    rating: float = math.nan
    criteria: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str | None] = field(default_factory=dict)
    probabilities: np.ndarray | None = None
    mass: float = math.nan
    text: str | None = None


def read_reply(text: str, prompt: "Prompt") -> Rated:
    """Return the ratings in a reply; without each of them it is unparsable."""
    short = text[:LONGEST]
    fields = _json_fields(short) if prompt.reply.json_fields else {}
    found = {name: _rating(short, prompt, name, fields) for name in prompt.asked}
    numbers = {name: value for name, value in found.items() if value is not None}
    if len(numbers) < len(found):
        return Rated("unparsable", text=text)
    labels = {
        name: _label(short, name, words, fields.get(name)) for name, words in prompt.labels.items()
    }
    criteria = numbers if prompt.criteria else {}
    return Rated("ok", numbers[prompt.asked[0]], criteria, labels, text=text)


def expected(prompt: "Prompt", tops: Mapping[str, float]) -> tuple[np.ndarray, float] | None:
    """Return the probabilities of the ratings, and their mass, from those of a server's tokens.

    Args:
        prompt: whose scale it is.
        tops: log-probabilities of the likeliest tokens at one position; those of one rating with
            and without a space before it are added up.

    Returns:
        None if no rating is among them.
    """
    found = np.zeros(len(prompt.tokens))
    for token, logprob in tops.items():
        if (word := token.strip()) in prompt.tokens:
            found[prompt.tokens.index(word)] += math.exp(logprob)
    mass = float(found.sum())
    return (found / mass, mass) if mass > 0 else None


def begins(rating: float, tops: Mapping[str, float]) -> bool:
    """Return whether a rating, or its whole number, is the token that a server's tokens are of.

    Args:
        rating: in the reply.
        tops: as for `expected`, the one that was written first: in "out of 5: 3" another number.
    """
    return float(next(iter(tops))) in (rating, math.floor(rating))


def _rating(text: str, prompt: "Prompt", name: str, fields: Mapping[str, Any]) -> float | None:
    """The number of a criterion, None if there is none that is allowed."""
    if (value := fields.get(name or "rating")) is not None:
        spelled = str(value) if isinstance(value, int | float | str) else ""
        match = re.match(rf"\s*{NUMBER}(?P<after>.*)\Z", spelled, re.DOTALL)
        return None if match is None else _allowed(match["number"], match["after"], prompt)
    for expression in prompt.reply.find:
        matches = list(pattern(expression, name).finditer(text))
        if matches:
            one = matches[-1 if prompt.reply.take == "last" else 0]
            return _allowed(one["number"], text[one.end("number") :], prompt)
    return None


def _allowed(spelled: str, after: str, prompt: "Prompt") -> float | None:
    """A number if the scale has it; not one of ten, say, where the scale ends at five."""
    value, top = float(spelled), prompt.scale[-1]
    of = OF.match(after)
    if of is not None and float(of[1]) != top:
        return None
    if prompt.reply.between:
        return value if prompt.scale[0] <= value <= top else None
    return value if value in prompt.scale else None


@lru_cache(maxsize=256)
def pattern(expression: str, name: str = "") -> re.Pattern[str]:
    """Return what an expression of a prompt looks for.

    Args:
        expression: with `<number>` in it, and maybe `<criterion>`.
        name: of the criterion.

    Raises:
        re.error: it is none.
    """
    spelled = r"[\s_-]*".join(map(re.escape, name.split("_")))
    text = expression.replace("<criterion>", rf"\b{spelled}\b")
    return re.compile(text.replace("<number>", NUMBER, 1), re.IGNORECASE)


def _json_fields(text: str) -> dict[str, Any]:
    """The fields of the JSON object in a reply, by names as columns have them; or none."""
    first, last = text.find("{"), text.rfind("}")
    if first < 0 or last < first:
        return {}
    try:
        found = json.loads(text[first : last + 1])
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {re.sub(r"\W+", "_", str(name).strip().lower()): v for name, v in found.items()}


def _label(text: str, name: str, words: Sequence[str], said: object) -> str | None:
    """The word of a label that a reply has, None if it is not among those that are allowed."""
    if not isinstance(said, str):
        spelled = r"[\s_-]*".join(map(re.escape, name.split("_")))
        match = re.search(rf"\b{spelled}\b\W*[:=]([^\n]*)", text, re.IGNORECASE)
        said = match[1] if match else ""
    plain = said.strip(" \t\"'*._,[]()").casefold()
    return next((word for word in words if word.casefold() == plain), None)
