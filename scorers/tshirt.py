"""T-SHIRT: selective IFD over noisy copies of a row, with its deviation.

    score     = mean over the copies of S-IFD_k        Fu et al. 2025, arXiv 2506.01317
    deviation = their population standard deviation (over n, not n - 1), as published
    ifd       = mean over the copies of exp(L(A|Q) - L(A)), the plain IFD
    copies    = how many copies there are
    selected  = share of the tokens that S-IFD counts, over all copies

S-IFD_k stands in `scorers.sifd`. As in the published code its threshold is the (100 - k)-th
percentile of |Delta| pooled over all rows, tokens and *noisy* copies (the clean pass takes no
part), and the tokens are selected for each copy anew. A row that changes little under noise is a
good one with good neighbours: the selector `hierarchical` keeps, of the best scores, those of the
smallest deviation. A row with a number that is not finite in any copy has no score, and takes no
part in the threshold.

Rows may have different numbers of copies; a row weighs in the threshold by those it has.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import pyarrow as pa
from pydantic import Field

from ..errors import ContractError
from .base import Scorer
from .sifd import Deltas, fit_threshold, numbered, selective_ifd, threshold_of
from .signals import schema
from .turns import divide, list_lengths, range_sums

ROWS_AT_ONCE = 128  # with 30 copies of 1,024 tokens 4 million numbers; bounds memory, no result


@dataclass(frozen=True)
class _Copies:
    """The copies of some rows, one after the other.

    Attributes:
        deltas: one answer per copy; empty in rows without a score.
        ifd: (copies,) float64, the plain IFD of each.
        n: (rows,) copies of each row.
        usable: (rows,) bool, whether it gets a score.
    """

    deltas: Deltas
    ifd: np.ndarray
    n: np.ndarray
    usable: np.ndarray


@final
class TShirt(Scorer):
    """Mean selective IFD over noisy copies, and how much it varies between them."""

    signal: str = "noisy"
    k: float = Field(default=50.0, gt=0, le=100)
    """Percent of the pool's tokens that count; published results are for 50 and 75."""

    @property
    def undefined(self) -> str:
        """Why a row has no score."""
        return "one_token_answer"

    @property
    def reads(self) -> pa.Schema:
        """What the copies of each row gave."""
        columns = ("delta", "given_mean", "alone_mean", "given.status", "alone.status")
        return schema(self.signal, *columns)

    @property
    def details(self) -> pa.Schema:
        """What `hierarchical` and adaptive copies go by, and the share of selected tokens."""
        return pa.schema(
            [
                ("deviation", pa.float32()),
                ("ifd", pa.float32()),
                ("copies", pa.int32()),
                ("selected", pa.float32()),
            ]
        )

    @property
    def fits_pool(self) -> bool:
        """The threshold is that of the pool."""
        return True

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table:
        """Return the threshold over all tokens and copies of the rows that get a score."""

        def read() -> Iterator[np.ndarray]:
            return (self._copies(some).deltas.values for rows in pool for some in _slices(rows))

        return fit_threshold(read, self.k)

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return score, deviation, ifd, copies and selected of each row.

        Raises:
            ValueError: nothing was fitted.
            ContractError: the signal's lists do not fit each other.
        """
        threshold = threshold_of(fitted)
        tables = [self._score(some, threshold) for some in _slices(rows)]
        return pa.concat_tables(tables)

    def _score(self, rows: pa.Table, threshold: float) -> pa.Table:
        copies = self._copies(rows)
        scores, counts = selective_ifd(copies.deltas, threshold)
        n = copies.n
        mean = divide(range_sums(scores, n), n)
        with np.errstate(over="ignore", invalid="ignore"):  # an infinite score is none
            squares = (scores - np.repeat(mean, n)) ** 2
        tokens = range_sums(copies.deltas.lengths.astype(np.float64), n)
        columns = {
            "score": np.where(copies.usable, mean, np.nan),
            "deviation": np.sqrt(divide(range_sums(squares, n), n)),
            "ifd": divide(range_sums(copies.ifd, n), n),
            "selected": divide(range_sums(counts, n), tokens),
        }
        with np.errstate(over="ignore"):  # beyond float32: infinite
            single = {name: values.astype(np.float32) for name, values in columns.items()}
        return pa.table(single | {"copies": n.astype(np.int32)})

    def _copies(self, rows: pa.Table) -> _Copies:
        """The copies of each row.

        Raises:
            ContractError: lists that do not fit each other.
        """
        delta, given, alone = (
            rows[f"{self.signal}.{column}"].combine_chunks()
            for column in ("delta", "given_mean", "alone_mean")
        )
        n, tokens = list_lengths(given), list_lengths(delta)
        if (list_lengths(alone) != n).any() or (tokens % np.maximum(n, 1)).any():
            raise ContractError(
                f"{self.signal}.delta, given_mean and alone_mean of a row must be of the same "
                f"copies, each over the same tokens"
            )
        if (tokens[n == 0] > 0).any():
            raise ContractError(f"{self.signal}.delta has tokens of a row without a copy")
        per_copy = np.repeat(tokens // np.maximum(n, 1), n)
        deltas = Deltas(_numbers(delta), per_copy)
        means = _numbers(given), _numbers(alone)
        bad = ~(deltas.finite() & np.isfinite(means[0]) & np.isfinite(means[1]))
        usable = numbered(rows) & (n > 0) & (range_sums(bad.astype(np.float64), n) == 0)
        with np.errstate(over="ignore", invalid="ignore"):
            ifd = np.exp(means[0] - means[1])
        return _Copies(deltas.only(np.repeat(usable, n)), ifd, n, usable)


def _numbers(lists: pa.ListArray) -> np.ndarray:
    """All numbers of a list column, one row after the other; NaN for null."""
    return np.asarray(lists.flatten().to_numpy(zero_copy_only=False))


def _slices(rows: pa.Table) -> Iterator[pa.Table]:
    """The rows, few at a time; an empty table as it is."""
    for start in range(0, max(len(rows), 1), ROWS_AT_ONCE):
        yield rows.slice(start, ROWS_AT_ONCE)
