"""Rows in the order of each query's liking: what `round_robin` and `global_max` choose from.

A list column holds one number per query for every row. Only the first rows of each query's order
are found, and more where a choice comes to their end: a whole order of every query would take as
much memory as the numbers again.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import ContractError, PlanError
from .base import OVER_BUDGET, Budget, Choice
from .vectors import even

QUERY_WORDS = {"query": "it was taken for the example {detail} of the target"}


@dataclass(frozen=True)
class Taken:
    """The rows that queries took, in order.

    Attributes:
        rows: their places among the rows given.
        query: (taken,) which query took each.
        complete: the budget is spent, or there is nothing left to take; otherwise a query came to
            the end of its list too early.
    """

    rows: list[int]
    query: list[int]
    complete: bool


Walk = Callable[[np.ndarray, np.ndarray, "Spending", bool], Taken]


@dataclass
class Spending:
    """How much of a budget is spent; one row more than fits may be taken.

    Attributes:
        costs: of each row.
        limit: of the budget.
        left: of it.
    """

    costs: np.ndarray
    limit: int
    left: int = 0

    def __post_init__(self) -> None:
        self.left = self.limit

    @classmethod
    def of(cls, pool: pa.Table, rows: np.ndarray, budget: Budget) -> "Spending":
        """Return the spending of a budget on rows at some places in the pool."""
        return cls(budget.costs(pool)[rows], budget.limit)

    def spend(self, row: int) -> bool:
        """Take a row; return whether something is left after it."""
        self.left -= int(self.costs[row])
        return self.left >= 0


def list_schema(by: str) -> pa.Schema:
    """Return the schema of a list column, and the score of its scorer.

    Rows without a score do not reach a selector that reads it. To one number per target belongs
    the example of each target that it comes from.
    """
    fields = [(by, pa.list_(pa.float32())), (f"{by.partition('.')[0]}.score", pa.float32())]
    if example := _example(by):
        fields.append((example, pa.list_(pa.int32())))
    return pa.schema(fields)


def _example(by: str) -> str | None:
    scorer, _, kind = by.partition(".")
    return f"{scorer}.query_by_target" if kind == "by_target" else None


def numbers(pool: pa.Table, by: str) -> np.ndarray:
    """Return a list column as (rows, queries) float32.

    Raises:
        ContractError: rows with lists of different lengths, or without one.
    """
    lists = pool[by].combine_chunks()
    lengths = set(pc.list_value_length(lists).to_pylist()) if len(lists) else {0}
    if len(lengths) > 1 or None in lengths:
        raise ContractError(f"{by} must have as many numbers in every row")
    return np.asarray(lists.flatten().to_numpy()).reshape(len(pool), lengths.pop())


def choose(
    pool: pa.Table, by: str, budget: Budget, walk: Walk, reason: str = OVER_BUDGET
) -> Choice:
    """Return the choice of a walk over the queries' orders.

    The rows that no query took follow by their best number. Ties: sample_id, then row_id.

    Args:
        pool: as for `Selector.select`.
        by: the list column.
        budget: what may be kept.
        walk: takes (rows, queries) numbers, (queries, depth) places best first, the spending, and
            whether these are all rows; gives the rows taken.
        reason: why the other rows are dropped where the budget is not spent.

    Raises:
        ContractError: lists of different lengths.
        PlanError: there are no queries.
    """
    places = even(pool)
    values = numbers(pool, by)[places]
    n, n_queries = values.shape
    if n and not n_queries:
        raise PlanError(f"{by} has no number in any row")
    costs = budget.costs(pool)[places]
    depth = min(n, 2 * budget.limit // max(n_queries, 1) + 16)
    while True:
        spending = Spending(costs, budget.limit)
        taken = walk(values, best_first(values, depth), spending, depth == n)
        if taken.complete:
            break
        depth = min(n, 2 * depth)
    rows = np.array(taken.rows, dtype=np.int64)
    rest = np.setdiff1d(np.arange(n), rows)
    rest = rest[np.argsort(-values[rest].max(1, initial=-np.inf), kind="stable")]
    order = places[np.concatenate([rows, rest])]
    n_kept = min(budget.fits(pool, order), len(rows))
    pulled = np.full(n, "", dtype=object)
    pulled[places[rows]] = [f"query: {query}" for query in taken.query]
    if example := _example(by):
        examples = pool[example].combine_chunks()
        for row, query in zip(places[rows].tolist(), taken.query, strict=True):
            place = examples[row].as_py()[query]
            pulled[row] += f"[{place}]" if place >= 0 else ""
    reasons = np.full(n, OVER_BUDGET if spending.left <= 0 else reason, dtype=object)
    return Choice(order, n_kept, reasons, np.full(n, np.nan), pulled=pulled)


def best_first(values: np.ndarray, depth: int) -> np.ndarray:
    """Return the places of the best rows of each query, (queries, depth), best first.

    Args:
        values: (rows, queries); of equal numbers the one in front comes first.
        depth: how many, at most all.
    """
    n, n_queries = values.shape
    found = np.empty((n_queries, depth), dtype=np.int64)
    for query in range(n_queries if depth else 0):
        own = np.ascontiguousarray(values[:, query])
        least = np.partition(own, n - depth)[n - depth]
        good = np.flatnonzero(own >= least)
        found[query] = good[np.argsort(-own[good], kind="stable")][:depth]
    return found
