"""Intervals of 95 % of losses: over held-out rows, and over seeds.

A training leaves `sums` and `counts`: loss and tokens of the answer of each held-out row.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

DRAWS, CHUNK = 10_000, 500
LEVEL = 0.95
Losses = dict[str, Any]


def mean_of(found: Losses) -> float:
    """Mean loss over all answer tokens, nats."""
    return float(np.sum(found["sums"]) / np.sum(found["counts"]))


def per_row(found: Losses) -> np.ndarray:
    """Mean loss over the answer tokens of each row, (rows,)."""
    rows: np.ndarray = np.asarray(found["sums"]) / np.asarray(found["counts"])
    return rows


def seeds_interval(found: Sequence[Losses]) -> list[float]:
    """Student's t interval of the mean loss over trainings."""
    from scipy import stats  # heavy

    losses = [mean_of(one) for one in found]
    half = stats.t.ppf((1 + LEVEL) / 2, len(losses) - 1) * stats.sem(losses)
    return [round(float(np.mean(losses) + side * half), 5) for side in (-1, 1)]


def against(found: Sequence[Losses], others: Sequence[Losses], seed: int = 0) -> dict[str, Any]:
    """The difference of two groups of trainings in loss; below 0: `found` is better.

    difference      of the mean losses per answer token
    over_rows       percentiles of a paired bootstrap of the held-out rows; of each row the mean
                    over the trainings of a group
    over_seeds      Welch's t interval, where both groups have several trainings
    row_difference  of the means over rows of a row's mean loss
    row_over_rows   of these
    """
    from scipy import stats  # heavy

    sums = [np.mean([one["sums"] for one in group], axis=0) for group in (found, others)]
    counts, apart = np.asarray(found[0]["counts"], float), sums[0] - sums[1]
    tokens, rows = _bootstrap(apart, counts, seed), _bootstrap(apart / counts, counts**0, seed)
    line: dict[str, Any] = {"difference": tokens[0], "over_rows": tokens[1]}
    if len(found) > 1 and len(others) > 1:
        losses = [[mean_of(one) for one in group] for group in (found, others)]
        ends = stats.ttest_ind(*losses, equal_var=False).confidence_interval(LEVEL)
        line["over_seeds"] = [round(float(end), 5) for end in ends]
    return line | {"row_difference": rows[0], "row_over_rows": rows[1]}


def _bootstrap(apart: np.ndarray, counts: np.ndarray, seed: int) -> tuple[float, list[float]]:
    """sum(apart) / sum(counts), and its percentiles over draws of the rows."""
    rng, n, draws = np.random.default_rng(seed), len(counts), list[np.ndarray]()
    for _ in range(0, DRAWS, CHUNK):
        times = rng.multinomial(n, np.full(n, 1 / n), size=CHUNK)
        draws.append((times @ apart) / (times @ counts))
    ends = np.quantile(np.concatenate(draws), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    found = float(apart.sum() / counts.sum())
    return round(found, 5), [round(float(end), 5) for end in ends]
