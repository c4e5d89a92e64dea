r"""Answers that refuse, speak of the model itself, or are phrases in place of an answer.

What is looked for stands in `patterns.yaml` beside this file: regular expressions by kind, near the
beginning of each answer. The rules with which Alpaca was cleaned by hand (AlpacaDataCleaned, 2023)
are of the same sort; the wording is our own, and English.

Refusals in a training set made models 4 to 33 % worse on tests of reasoning ("The Poison of
Alignment", Bekbayev et al. 2023, arXiv 2308.13449). But refusals are also what makes a model
refuse: whether they should go is for whoever trains it to say. No config has this filter unless one
puts it there.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, final

import pyarrow as pa
from pydantic import BeforeValidator, Field, field_validator, model_validator

from ..base import ROWS
from ..sides import texts_of
from .base import Filter

REACH = 1_000  # characters that a match may have; bounds the time for long answers
SHIPPED = Path(__file__).with_name("patterns.yaml")
Patterns = Mapping[str, tuple[str, ...]]


def read_patterns(given: object) -> object:
    """Return what a YAML file holds; anything but text is returned as it is.

    Raises:
        ValueError: there is no such file, it is no YAML, or empty.
    """
    if not isinstance(given, str):
        return given
    import yaml

    try:
        found = yaml.safe_load(Path(given).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{given}: {error}") from error
    if found is None:  # as a setting that would be the patterns that come along
        raise ValueError(f"{given} holds no patterns")
    return found


@final
class Refusals(Filter):
    """Drops rows with an answer in which a pattern is found; its kind is the reason."""

    words: ClassVar[Mapping[str, str]] = {
        "refusal": "it refuses",
        "model": "the model speaks of itself",
        "filler": "it is a phrase in place of an answer",
        "placeholder": "it was never filled in",
    }

    patterns: Annotated[
        dict[str, tuple[str, ...]] | None, Field(min_length=1), BeforeValidator(read_patterns)
    ] = None
    """Regular expressions by kind, or a YAML file of them; by default those that come along."""
    kinds: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Which kinds to look for; by default all."""
    within: int = Field(default=200, ge=1)
    """Characters at the beginning of an answer in which a pattern must begin."""

    @field_validator("patterns")
    @classmethod
    def _compile(cls, given: Patterns | None) -> Patterns | None:
        for kind, patterns in (given or {}).items():
            for pattern in patterns:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ValueError(f"{kind}: {pattern!r} is no pattern: {error}") from error
        return given

    @model_validator(mode="after")
    def _kinds(self) -> Self:
        self._chosen()
        return self

    def identity(self) -> dict[str, Any]:
        """Return the settings, with the patterns themselves."""
        return super().identity() | {"patterns": self._chosen()}

    @property
    def reads(self) -> pa.Schema:
        """The conversation."""
        return pa.schema([ROWS.field("messages")])

    @property
    def details(self) -> pa.Schema:
        """The text that a pattern matched; null where none did."""
        return pa.schema([("match", pa.string())])

    def judge(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return the first kind that is found in each row, and where."""
        chosen = tuple((kind, tuple(patterns)) for kind, patterns in self._chosen().items())
        compiled = _compiled(chosen)
        found = [self._found(texts, compiled) for texts in texts_of(rows, "answer")]
        reasons = [None if one is None else f"{one[0]}: {one[1]}" for one in found]
        matches = [None if one is None else one[1] for one in found]
        return pa.table(
            {"reason": pa.array(reasons, pa.string()), "match": pa.array(matches, pa.string())}
        )

    def _found(
        self, texts: list[str], compiled: tuple[tuple[str, tuple[re.Pattern[str], ...]], ...]
    ) -> tuple[str, str] | None:
        for kind, patterns in compiled:
            for text in texts:
                for pattern in patterns:
                    match = pattern.search(text[: self.within + REACH])
                    if match is not None and match.start() < self.within:
                        return kind, " ".join(match[0].split())
        return None

    def _chosen(self) -> Patterns:
        """The patterns of the wanted kinds.

        Raises:
            ValueError: a kind without patterns.
        """
        given = shipped_patterns() if self.patterns is None else self.patterns
        kinds = tuple(given) if self.kinds is None else self.kinds
        if missing := [kind for kind in kinds if kind not in given]:
            raise ValueError(f"no patterns of kind {missing[0]!r}; there are {', '.join(given)}")
        return {kind: given[kind] for kind in kinds}


@lru_cache(maxsize=1)
def shipped_patterns() -> Patterns:
    """Return the patterns that come along, by kind."""
    found = read_patterns(str(SHIPPED))
    if not isinstance(found, dict):
        raise TypeError(f"{SHIPPED} must map kinds to patterns")
    return {kind: tuple(patterns) for kind, patterns in found.items()}


@lru_cache(maxsize=8)
def _compiled(
    chosen: tuple[tuple[str, tuple[str, ...]], ...],
) -> tuple[tuple[str, tuple[re.Pattern[str], ...]], ...]:
    return tuple(
        (kind, tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns))
        for kind, patterns in chosen
    )
