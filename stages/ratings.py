"""What came of questions about rows, as the columns that both rating signals add.

Which they are, and what they mean, stands in `scorers.signals` and docs/methods/ratings.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ..scorers.signals import column_type
from .prompt import Prompt, Question
from .replies import Rated

COLUMNS = ("rating", "ratings", "probabilities", "scale", "mass", "turns")
NO_QUESTION = "no_answer"  # status of a row that has nothing to be rated


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
    prompt: Prompt, questions: Sequence[Question], found: Sequence[Rated], n_rows: int
) -> dict[str, pa.Array]:
    """Return every column for some rows.

    Args:
        prompt: that was asked with.
        questions: in the order of their rows.
        found: what came of each.
        n_rows: of the part.
    """
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
        "status": [_status(row) for row in rows],
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
    return next((one.status for one in row if one.status != "ok"), "ok") if row else NO_QUESTION


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
