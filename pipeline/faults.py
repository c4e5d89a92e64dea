"""Where the faults of a pool are known: how much of each kind every scorer would keep.

Each scorer's best rows at the run's budget stand beside the run's own selection and a seeded random
choice of the same size. Of each filter it says what it finds of each kind (recall), how much of
what it finds is of that kind (precision), and how many rows without a fault it takes along.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..stages.selectors.base import Budget, by_score
from ..stages.selectors.random import Random
from .selection import Decisions

NO_FAULT = "none"


@dataclass(frozen=True)
class Found:
    """What a filter has a reason against, whatever the filters before it drop.

    Attributes:
        rows: how many.
        recall: share of the rows with each kind of fault that is among them, and of any.
        precision: share of them with each kind, and with any; 0 where there are none.
        harmed: share of the rows without a fault that is among them.
    """

    rows: int
    recall: tuple[float, ...]
    precision: tuple[float, ...]
    harmed: float


@dataclass(frozen=True)
class FaultTable:
    """Shares of faulty rows.

    Attributes:
        kinds: of faults, in order of name.
        shares: for each choice (pool, selection, random, then the scorers), the share of its rows
            with each kind, and last with any.
        rows: rows of each choice.
        found: what each filter finds; where there are several, last all of them together.
    """

    kinds: tuple[str, ...]
    shares: dict[str, tuple[float, ...]]
    rows: dict[str, int]
    found: dict[str, Found] = field(default_factory=dict)


def fault_table(
    pool: pa.Table,
    labels: str,
    decisions: Decisions,
    scorers: Sequence[str],
    budget: Budget,
    seed: int,
    filters: Sequence[str] = (),
) -> FaultTable:
    """Return the shares of faults in the pool and in each choice.

    Args:
        pool: sample_id, row_id, the labels, each scorer's score and each filter's reason, one row
            per usable row.
        labels: column of the kind of fault; `none` or null for none.
        decisions: of the run.
        scorers: names.
        budget: of the run.
        seed: of the random choice.
        filters: names.
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
    sizes = {name: len(rows) for name, rows in choices.items()}
    return FaultTable(kinds, shares, sizes, _found(pool, found, kinds, filters))


def _found(
    pool: pa.Table, labels: np.ndarray, kinds: Sequence[str], filters: Sequence[str]
) -> dict[str, Found]:
    """What each filter finds, and where there are several, all of them."""
    hits = {name: np.asarray(pc.is_valid(pool[f"{name}.reason"])) for name in filters}
    if len(hits) > 1:
        hits["all filters"] = np.logical_or.reduce(list(hits.values()))
    whole = [labels == kind for kind in kinds] + [labels != NO_FAULT]
    return {
        name: Found(
            rows=int(hit.sum()),
            recall=tuple(_share(hit[own]) for own in whole),
            precision=tuple(_share(own[hit]) for own in whole),
            harmed=_share(hit[labels == NO_FAULT]),
        )
        for name, hit in hits.items()
    }


def _share(hits: np.ndarray) -> float:
    return float(hits.mean()) if len(hits) else 0.0


def fault_kinds(labels: pa.ChunkedArray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the kind of each row's fault, (rows,) str, and the kinds that there are, by name."""
    found = np.array([NO_FAULT if v is None else str(v) for v in labels.to_pylist()])
    return found, tuple(sorted(set(found.tolist()) - {NO_FAULT}))


def fault_shares(found: np.ndarray, kinds: Sequence[str]) -> tuple[float, ...]:
    """Return the share of each kind among some rows' faults, and last that of any."""
    each = [float(np.mean(found == kind)) if len(found) else 0.0 for kind in kinds]
    return (*each, sum(each))
