"""The contract of a selector: the scored pool and a budget in, an order and a cut out.

A selector sees the whole pool once, but only ids and the columns it reads. It returns *all* rows it
was given in its order of preference, so that the ledger can say of any row how far from the cut it
stood. Ties are broken by sample_id, then row_id.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import ContractError
from ...scorers.base import Params

OVER_BUDGET = "over budget"
KEPT_WORDS = ""  # the key in `words` of rows that are kept and not pulled in by anything
Growth = Literal["never", "by rank", "anew"]


@dataclass(frozen=True)
class Budget:
    """How much may be kept.

    Attributes:
        limit: rows, or answer tokens.
        cost: column with the answer tokens of each row; None for a budget in rows.
    """

    limit: int
    cost: str | None = None

    def costs(self, pool: pa.Table) -> np.ndarray:
        """Return what each row costs, (rows,) int64."""
        if self.cost is None:
            return np.ones(len(pool), dtype=np.int64)
        return np.asarray(pc.fill_null(pool[self.cost], 0).to_numpy(), dtype=np.int64)

    def fits(self, pool: pa.Table, order: np.ndarray) -> int:
        """Return how many rows from the front of an order stay within the limit."""
        return int(np.searchsorted(np.cumsum(self.costs(pool)[order]), self.limit, "right"))


@dataclass(frozen=True)
class Choice:
    """What a selector decided.

    Attributes:
        order: (rows,) places in the pool, best first, each once.
        n_kept: the first so many of `order` are kept.
        reason: (rows,) why a row at that place in the pool would be dropped.
        margin: (rows,) distance of each row to the cut, in units of its score; positive for kept.
        worth: (rows,) what the order goes by, highest first, where that is one number; rows that
            are cut afterwards, to fit the budget, get their distance to the last kept from it.
        pulled: (rows,) of a kept row what it was chosen for, such as `query: 3`.
        said: what else is worth knowing of the choice, line by line, for the end of the run.
    """

    order: np.ndarray
    n_kept: int
    reason: np.ndarray
    margin: np.ndarray
    worth: np.ndarray | None = None
    pulled: np.ndarray | None = None
    said: tuple[str, ...] = ()


class Selector(Params, ABC):
    """Chooses rows of a scored pool."""

    words: ClassVar[Mapping[str, str]] = {}
    """What its reasons say, in plain words and as a clause, by what stands before their colon;
    `{detail}` is what stands after it. That of `KEPT_WORDS` is of rows that are kept."""

    @property
    def growth(self) -> Growth:
        """How its choice changes with the budget.

        never    the same rows pass in the same order, whatever the budget
        by rank  the same order; with a larger budget the next of it pass as well
        anew     what passes may be other rows; the default, which promises nothing
        """
        return "anew"

    @property
    @abstractmethod
    def reads(self) -> pa.Schema:
        """The columns it needs; rows without a number in a `.score` column do not reach it."""

    @abstractmethod
    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order the pool and say how many are kept; more than the budget are cut afterwards.

        Args:
            pool: `row_id`, `sample_id`, the columns of `reads`, and the budget's cost.
            budget: what may be kept in the end.
        """

    def unsettled(self, pool: pa.Table, budget: Budget, most: int) -> np.ndarray | None:
        """Return which rows it wants more exact scores of before it chooses.

        Asked before `select`, once before each later round of a signal that works in rounds.

        Args:
            pool: as for `select`.
            budget: likewise.
            most: units of work, such as noisy copies, that a row can have after all rounds.

        Returns:
            (rows,) bool, or None: it takes scores as they are.
        """
        return None

    @final
    def __call__(self, pool: pa.Table, budget: Budget) -> Choice:
        """Select, and check the promise: every row once, a cut within.

        Raises:
            ContractError: it is broken.
        """
        choice = self.select(pool, budget)
        name = type(self).__name__
        n = len(pool)
        if not np.array_equal(np.sort(choice.order), np.arange(n)):
            raise ContractError(f"{name}.select must order all {n} rows, each once")
        if not 0 <= choice.n_kept <= n or len(choice.reason) != n or len(choice.margin) != n:
            raise ContractError(f"{name}.select gave a cut or reasons that do not fit {n} rows")
        return choice


def by_score(pool: pa.Table, by: str) -> np.ndarray:
    """Return the places of all rows, best score first; ties by sample_id, then row_id."""
    return by_value(pool, scores(pool, by))


def by_value(pool: pa.Table, values: np.ndarray) -> np.ndarray:
    """Return the places of all rows, largest of (rows,) values first; ties likewise."""
    table = pool.select(["sample_id", "row_id"]).append_column("value", pa.array(values))
    keys = [("value", "descending"), ("sample_id", "ascending"), ("row_id", "ascending")]
    return np.asarray(pc.sort_indices(table, sort_keys=keys), dtype=np.int64)


def scores(pool: pa.Table, by: str) -> np.ndarray:
    """Return a score column as (rows,) float64."""
    return np.asarray(pool[by].to_numpy(), dtype=np.float64)


def cut(order: np.ndarray, n_kept: int, values: np.ndarray, reason: str = OVER_BUDGET) -> Choice:
    """Return the choice that keeps the first of an order; margins are to the last kept."""
    at = values[order[n_kept - 1]] if n_kept else np.inf
    reasons = np.full(len(order), reason, dtype=object)
    with np.errstate(invalid="ignore"):
        return Choice(order, n_kept, reasons, values - at, worth=values)


def share_of(n_rows: int, fraction: float) -> int:
    """Return a share of so many rows, rounded down; 0.29 of 100 is 29, whatever binary says."""
    return math.floor(round(fraction * n_rows, 6))


def score_schema(*columns: str) -> pa.Schema:
    """Return the schema of score columns."""
    return pa.schema([(column, pa.float32()) for column in columns])
