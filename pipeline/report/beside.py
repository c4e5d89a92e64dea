"""The rows of a run beside random choices of the same size from the same pool.

Each choice takes the rows with the largest draws, which depend on a seed and a row's content alone.
The first is that of the selector `random` with the seed of the run; the others go by the same hash,
mixed once more for each.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import ArtifactError, DataError
from ...scorers.random import bits
from ...stages.selectors.base import Budget
from ...stages.selectors.random import Random
from ..finished import Finished
from ..selection import KEPT, REJECTED

CHOICES = 20
GOLDEN, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # splitmix64


@dataclass(frozen=True)
class Beside:
    """The usable rows of a run, in order of row_id.

    Attributes:
        rows: their lines of the ledger.
        kept: (rows,) bool.
        random: (choices, rows) bool; the first is the one that is shown.
        hashes: (rows,) uint64, a hash of the run's seed and each row's content.
        unit: what random choices have as many of as the selection: rows, or answer tokens.
    """

    rows: pa.Table
    kept: np.ndarray
    random: np.ndarray
    hashes: np.ndarray
    unit: str = "rows"

    @cached_property
    def row_ids(self) -> np.ndarray:
        """(rows,) int64."""
        return np.asarray(self.rows["row_id"].to_numpy(), dtype=np.int64)

    @property
    def n_kept(self) -> int:
        """How many rows were kept."""
        return int(self.kept.sum())

    def numbers(self, column: str) -> np.ndarray:
        """Return a column of the ledger, (rows,) float64, NaN where there is none."""
        return np.asarray(self.rows[column].to_numpy(), dtype=np.float64)

    def drawn(self, among: np.ndarray, n: int) -> np.ndarray:
        """Return places of at most `n` of some rows, drawn by seed and content, in order."""
        places = np.flatnonzero(among)
        order = np.lexsort([self.row_ids[places], self.hashes[places]])
        return np.sort(places[order[:n]])


def put_beside(run: Finished) -> Beside:
    """Return the usable rows of a run, and random choices of as many.

    Where the budget is one of answer tokens, they take as many tokens, if these are still known.
    """
    rows = run.ledger.filter(pc.not_equal(run.ledger["outcome"], REJECTED))
    kept = np.asarray(pc.equal(rows["outcome"], KEPT))
    seed = int(run.manifest["config"]["seed"])
    pool, budget = _budget(run, rows.select(["row_id", "sample_id"]), kept)
    first = Random(seed=seed).select(pool, budget)
    hashes = bits(seed, rows["sample_id"])
    chosen = np.zeros((CHOICES, len(rows)), dtype=bool)
    chosen[0, first.order[: first.n_kept]] = True
    for number in range(1, CHOICES):
        order = np.argsort(_mixed(hashes, number), kind="stable")
        chosen[number, order[: budget.fits(pool, order)]] = True
    return Beside(rows, kept, chosen, hashes, "rows" if budget.cost is None else "answer tokens")


def _budget(run: Finished, rows: pa.Table, kept: np.ndarray) -> tuple[pa.Table, Budget]:
    """The rows with what they cost, and what the kept ones cost together."""
    cost = run.manifest["budget"]["cost"]
    if cost is not None:
        try:
            table = pa.concat_tables(run.tables([cost]), promote_options="default")
        except (DataError, ArtifactError):  # said in the report: `unit` is then rows
            cost = None
        else:
            rows = rows.append_column(cost, table[cost])
    budget = Budget(0, cost)
    return rows, Budget(int(budget.costs(rows)[kept].sum()), cost)


def _mixed(hashes: np.ndarray, number: int) -> np.ndarray:
    """(rows,) uint64 as random as the hashes, and others for every number."""
    mixed = hashes + np.uint64(number * GOLDEN % (1 << 64))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(MIX_1)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(MIX_2)
    found: np.ndarray = mixed ^ (mixed >> np.uint64(31))
    return found
