"""Means of per-token columns: over a whole row, or over each of its answers (turns)."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from .base import floats


def mean(rows: pa.Table, column: str) -> np.ndarray:
    """Return sum / count of a per-token column, (rows,) float64; NaN where nothing was scored.

    Args:
        rows: holds `<column>_sum` and `<column>_count`.
        column: full name, such as `base.given.token_loss`.
    """
    return divide(floats(rows, f"{column}_sum"), floats(rows, f"{column}_count"))


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return the quotient, NaN where the denominator is 0."""
    empty = denominator == 0
    quotient: np.ndarray = np.where(empty, np.nan, numerator / np.where(empty, 1.0, denominator))
    return quotient


def range_sums(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the sums of ranges that lie one after the other, (ranges,) float64; 0 of an empty one.

    Args:
        values: (sum of lengths,) float64.
        lengths: (ranges,) how many values each range has.
    """
    sums = np.zeros(len(lengths))
    some = lengths > 0  # to an empty range reduceat would give the next value
    if some.any():
        sums[some] = np.add.reduceat(values, (np.cumsum(lengths) - lengths)[some])
    return sums


@dataclass(frozen=True)
class Turns:
    """A per-token column cut into turns.

    Attributes:
        values: (tokens,) float64 of all rows, one row after the other.
        starts, ends: (turns,) token range of each turn in `values`.
        row: (turns,) the row that each turn belongs to.
    """

    values: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    row: np.ndarray

    def sums(self, n_last: np.ndarray) -> np.ndarray:
        """Return the sum over the last `n_last` tokens of each turn, (turns,) float64."""
        sums = np.zeros(len(self.ends))
        some = n_last > 0
        if some.any():
            # pairs of (start, end): reduceat gives each turn at the even places
            bounds = np.stack([self.ends - n_last, self.ends], 1)[some].ravel()
            padded = np.append(self.values, 0.0)
            sums[some] = np.add.reduceat(padded, bounds)[::2]
        return sums


def read_turns(rows: pa.Table, column: str, turns_column: str) -> Turns:
    """Return a per-token column by turns; rows without numbers have no turns.

    Args:
        rows: holds both columns.
        column: full name of the per-token lists.
        turns_column: full name of the lists of tokens per turn.
    """
    lists, counts = rows[column].combine_chunks(), rows[turns_column].combine_chunks()
    values = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    lengths = counts.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    ends = np.cumsum(lengths)
    row = np.repeat(np.arange(len(rows)), list_lengths(counts))
    return Turns(values, ends - lengths, ends, row)


def last_of(rows: pa.Table, column: str) -> np.ndarray:
    """Return the last value of each row's list, (rows,) float64; NaN where it is empty or null."""
    lists = rows[column].combine_chunks()
    values = np.append(lists.flatten().to_numpy(zero_copy_only=False).astype(np.float64), np.nan)
    lengths = list_lengths(lists)
    return values[np.where(lengths > 0, np.cumsum(lengths) - 1, -1)]


def list_lengths(lists: pa.ListArray) -> np.ndarray:
    """Return the length of each list, (rows,) int64; 0 for null."""
    lengths = lists.value_lengths().fill_null(0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), dtype=np.int64)
