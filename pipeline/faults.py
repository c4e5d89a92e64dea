"""Where the faults of a pool are known: how much of each kind every scorer would keep.

Each scorer's best rows at the run's budget stand beside the run's own selection and a seeded random
choice of the same size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ..stages.selectors.base import Budget, by_score
from ..stages.selectors.random import Random
from .selection import Decisions

NO_FAULT = "none"


@dataclass(frozen=True)
class FaultTable:
    """Shares of faulty rows.

    Attributes:
        kinds: of faults, in order of name.
        shares: for each choice (pool, selection, random, then the scorers), the share of its rows
            with each kind, and last with any.
        rows: rows of each choice.
    """

    kinds: tuple[str, ...]
    shares: dict[str, tuple[float, ...]]
    rows: dict[str, int]


def fault_table(
    pool: pa.Table,
    labels: str,
    decisions: Decisions,
    scorers: Sequence[str],
    budget: Budget,
    seed: int,
) -> FaultTable:
    """Return the shares of faults in the pool and in each choice.

    Args:
        pool: sample_id, row_id, the labels and each scorer's score, one row per usable row.
        labels: column of the kind of fault; `none` or null for none.
        decisions: of the run.
        scorers: names.
        budget: of the run.
        seed: of the random choice.
    """
    found, kinds = fault_kinds(pool[labels])
    order = Random(seed=seed).select(pool, budget).order
    choices = {
        "pool": np.arange(len(pool)),
        "selection": np.flatnonzero(decisions.kept),
        "random": order[: budget.fits(pool, order)],
    }
    for name in scorers:
        ranked = by_score(pool, f"{name}.score")
        ranked = ranked[: len(pool) - pool[f"{name}.score"].null_count]  # nulls are sorted last
        choices[f"top {name}"] = ranked[: budget.fits(pool, ranked)]
    shares = {choice: fault_shares(found[rows], kinds) for choice, rows in choices.items()}
    return FaultTable(kinds, shares, {name: len(rows) for name, rows in choices.items()})


def fault_kinds(labels: pa.ChunkedArray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the kind of each row's fault, (rows,) str, and the kinds that there are, by name."""
    found = np.array([NO_FAULT if v is None else str(v) for v in labels.to_pylist()])
    return found, tuple(sorted(set(found.tolist()) - {NO_FAULT}))


def fault_shares(found: np.ndarray, kinds: Sequence[str]) -> tuple[float, ...]:
    """Return the share of each kind among some rows' faults, and last that of any."""
    each = [float(np.mean(found == kind)) if len(found) else 0.0 for kind in kinds]
    return (*each, sum(each))
