"""What came of questions about rows, as the columns that both rating signals add.

Which they are, and what they mean, stands in `scorers.signals` and docs/methods/ratings.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr

from ..scorers.random import uniform
from ..scorers.signals import column_type
from .base import ROWS, Stage
from .prompt import Prompt, PromptName, Question, load_prompt
from .replies import Rated

COLUMNS = ("rating", "ratings", "probabilities", "scale", "mass", "turns")
NO_ANSWER, NOT_ASKED = "no_answer", "not_asked"  # nothing to be rated; not among the share


class Rating(Stage):
    """Asks about rows with a prompt."""

    prompt: PromptName
    """A prompt that comes with Tamis, or the path of a .yaml file."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Of the rows that are asked about, drawn by their content; the others are `not_asked`."""
    seed: int | None = None
    """Of that draw."""

    _prompt: Prompt = PrivateAttr()  # as it was when the run began, also if its file is edited

    def model_post_init(self, context: object) -> None:
        """Read the prompt, once."""
        super().model_post_init(context)
        self._prompt = load_prompt(self.prompt)

    @property
    def reads(self) -> pa.Schema:
        """What of the conversation is asked about, and what draws the share."""
        names = ["messages", "input_start", *(["sample_id"] if self.share < 1 else [])]
        return pa.schema([ROWS.field(name) for name in names])

    def identity(self) -> dict[str, Any]:
        """Return the prompt's content in place of its address."""
        found = super().identity() | {"prompt": self._prompt.decides()}
        if self.share == 1:
            del found["seed"]  # nothing is drawn
        return found


def drawn(rows: pa.Table, share: float, seed: int) -> np.ndarray:
    """Return which rows are asked about, (rows,) bool: by their content, whatever the pool."""
    if share >= 1:
        return np.ones(len(rows), bool)
    return np.asarray(uniform(seed, rows["sample_id"]) < share)


def questions_about(prompt: Prompt, rows: pa.Table, asked: np.ndarray) -> list[Question]:
    """Return the questions about those of some rows that are asked about."""
    chosen = rows.select(["messages", "input_start"]).filter(pa.array(asked)).to_pylist()
    places = np.flatnonzero(asked)
    found = prompt.questions(chosen)
    return [replace(question, row=int(places[question.row])) for question in found]


def rating_columns(prompt: Prompt, replies: bool) -> pa.Schema:
    """Return the columns that a prompt leads to.

    Args:
        prompt: the prompt.
        replies: whether there are texts, and labels in them.
    """
    names = [*COLUMNS, *(f"criteria.{name}" for name in prompt.criteria)]
    if replies:
        names += ["text", *(f"labels.{name}" for name in prompt.labels)]
    return pa.schema([(name, column_type(name)) for name in [*names, "status"]])


def as_columns(
    prompt: Prompt, questions: Sequence[Question], found: Sequence[Rated], asked: np.ndarray
) -> dict[str, pa.Array]:
    """Return every column for some rows.

    Args:
        prompt: that was asked with.
        questions: in the order of their rows.
        found: what came of each.
        asked: (rows,) bool, which rows of the part are asked about.
    """
    n_rows = len(asked)
    of_row: list[list[int]] = [[] for _ in range(n_rows)]
    for place, question in enumerate(questions):
        of_row[question.row].append(place)
    rows = [[found[place] for place in places] for places in of_row]
    values: dict[str, list[Any]] = {
        "rating": [_mean([one.rating for one in row], row) for row in rows],
        "ratings": [[_number(one.rating) for one in row] or None for row in rows],
        "probabilities": [_probabilities(row, len(prompt.scale)) for row in rows],
        "scale": [list(prompt.scale)] * n_rows,
        "mass": [_masses(row) for row in rows],
        "turns": [len({questions[place].turn for place in places}) for places in of_row],
        "text": [[one.text for one in row] or None for row in rows],
        "status": [
            _status(row) if is_asked else NOT_ASKED
            for row, is_asked in zip(rows, asked, strict=True)
        ],
    }
    for name in prompt.criteria:
        own = f"criteria.{name}"
        values[own] = [_mean([one.criteria.get(name, np.nan) for one in row], row) for row in rows]
    for name in prompt.labels:  # of the first question: a label has no mean
        values[f"labels.{name}"] = [row[0].labels.get(name) if row else None for row in rows]
    return {name: pa.array(column, column_type(name)) for name, column in values.items()}


def selected(columns: Mapping[str, pa.Array], wanted: Sequence[str]) -> pa.Table:
    """Return the wanted of some columns."""
    return pa.table({name: columns[name] for name in wanted})


def _status(row: Sequence[Rated]) -> str:
    """That of the first question that has no rating."""
    return next((one.status for one in row if one.status != "ok"), "ok") if row else NO_ANSWER


def _mean(values: Sequence[float], row: Sequence[Rated]) -> float | None:
    """The mean over the questions of a row; None if one of them has no rating."""
    return float(np.mean(values, dtype=np.float64)) if _status(row) == "ok" else None


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _probabilities(row: Sequence[Rated], n: int) -> np.ndarray | None:
    """Those of all questions one after the other, NaN where one has none."""
    if all(one.probabilities is None for one in row):
        return None
    gap = np.full(n, np.nan)
    parts = [gap if one.probabilities is None else one.probabilities for one in row]
    return np.concatenate(parts).astype(np.float32)


def _masses(row: Sequence[Rated]) -> list[float | None] | None:
    masses = [_number(one.mass) for one in row]
    return masses if any(mass is not None for mass in masses) else None
