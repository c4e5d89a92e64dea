"""What a check of the environment found: a verdict, what is there, and what to do about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["OK", "MINOR", "MAJOR"]


@dataclass(frozen=True)
class Finding:
    """One line of `tamis doctor`.

    Attributes:
        name: what was looked at.
        verdict: OK; MINOR, something is slower, smaller or untested; MAJOR, runs will fail or be
            wrong.
        said: what is there.
        advice: what to do about it; empty where all is well.
    """

    name: str
    verdict: Verdict
    said: str
    advice: str = ""


Check = Callable[[], Finding]
