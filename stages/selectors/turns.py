"""The choice of a procedure that takes rows in turn, and says what each of the others is worth."""

import numpy as np
import pyarrow as pa

from .base import Budget, Choice, cut
from .vectors import even, why_not

NONE = np.zeros(0, np.int64)


def in_turn(
    pool: pa.Table,
    budget: Budget,
    usable: np.ndarray,
    turns: tuple[np.ndarray, np.ndarray],
    status: pa.Array | pa.ChunkedArray,
    copies: np.ndarray = NONE,
) -> Choice:
    """Return the choice: rows by their turns, others by worth, copies, rows without a vector.

    Args:
        pool: as for `Selector.select`.
        budget: likewise.
        usable: places of the rows that could be taken, by sample_id.
        turns: (taken,) which of these were, in turn; and (usable,) what each was worth in its turn,
            or is at the end.
        status: of all rows: why those that are neither usable nor copies have no vector.
        copies: places of rows with the content of a usable one; worth 0.
    """
    picks, worth = turns
    rest = np.setdiff1d(np.arange(len(usable)), picks)
    rest = rest[np.argsort(-worth[rest], kind="stable")]
    rows = even(pool)
    without = rows[~np.isin(rows, np.concatenate([usable, copies]))]
    order = np.concatenate([usable[picks], usable[rest], copies, without])
    values = np.full(len(pool), np.nan)
    values[usable], values[copies] = worth, 0.0
    choice = cut(order, min(budget.fits(pool, order), len(pool) - len(without)), values)
    choice.reason[without] = why_not(status, without)
    return choice
