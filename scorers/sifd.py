"""Selective IFD: the part of the IFD that the tokens make which the instruction really moves.

With Delta_t = log p(y_t | x, y_<t) - log p(y_t | y_<t), what the instruction adds to the
log-probability of token t of the answer, in nats (loss alone - loss given):

    S-IFD_k = exp(-sum w_t Delta_t / sum w_t)       Fu et al. 2025, arXiv 2506.01317 (T-SHIRT)

where w_t = 1 if |Delta_t| is strictly greater than the (100 - k)-th percentile of |Delta| over all
tokens of the pool, else 0; over all tokens (k = 100, but for those equal to the smallest) it is
the IFD as a ratio of perplexities. An answer none of whose tokens is selected scores exactly 1:
its instruction moves nothing.

This scorer takes the threshold and the score from one clean pass of a `forward` signal; `tshirt`
takes them from noisy copies. Delta is over the tokens that both passes score, counted from the end
of each answer (with a tokenizer without BOS the first token of an answer alone has no loss). Rows
of several turns pool the tokens of all answers.

    aligned   any answer; both passes have the same tokens
    official  tokenised apart as the published code does it; an answer whose numbers of tokens in
              both passes differ by more than the first one gets no score (the code stops there)
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from .base import NUMBERED, Scorer, row_status
from .percentile import percentile
from .signals import schema
from .turns import Turns, range_sums, read_turns


@dataclass(frozen=True)
class Deltas:
    """What the instruction adds to each token of several answers, one answer after the other.

    Attributes:
        values: (tokens,) float32, nats.
        lengths: (answers,) tokens of each.
    """

    values: np.ndarray
    lengths: np.ndarray

    def finite(self) -> np.ndarray:
        """Return which answers have tokens and only finite values, (answers,) bool."""
        bad = range_sums((~np.isfinite(self.values)).astype(np.float64), self.lengths)
        finite: np.ndarray = (self.lengths > 0) & (bad == 0)
        return finite

    def only(self, answers: np.ndarray) -> Self:
        """Return the deltas of some answers, (answers,) bool; the others become empty."""
        values = self.values[np.repeat(answers, self.lengths)]
        return type(self)(values, np.where(answers, self.lengths, 0))


def selective_ifd(deltas: Deltas, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return S-IFD and the number of selected tokens of each answer, both (answers,) float64.

    S-IFD is NaN for an answer without tokens, 1 for one without a selected token, and infinite
    where it is too large for float64.

    Args:
        deltas: finite.
        threshold: a token counts if |Delta| is strictly greater; nats.
    """
    values = deltas.values.astype(np.float64)  # float32 would round the threshold onto a value
    selected = np.abs(values) > threshold
    counts = range_sums(selected.astype(np.float64), deltas.lengths)
    sums = range_sums(np.where(selected, values, 0.0), deltas.lengths)
    with np.errstate(over="ignore"):
        scores = np.exp(-sums / np.maximum(counts, 1.0))
    return np.where(deltas.lengths > 0, scores, np.nan), counts


def fit_threshold(read: Callable[[], Iterable[np.ndarray]], k: float) -> pa.Table:
    """Return the (100 - k)-th percentile of |Delta| as one row; null for a pool without tokens.

    Args:
        read: gives Delta, (tokens,) float32, array after array; called twice.
        k: percent of the tokens to select.
    """
    value = percentile(lambda: (np.abs(values) for values in read()), 100 - k)
    return pa.table({"threshold": pa.array([value], pa.float64())})


def threshold_of(fitted: pa.Table | None) -> float:
    """Return what `fit_threshold` found; of a pool without tokens infinity, which selects nothing.

    Raises:
        ValueError: nothing was fitted.
    """
    if fitted is None:
        raise ValueError("selective IFD needs the threshold of the pool")
    value = fitted["threshold"][0].as_py()
    return np.inf if value is None else float(value)


def numbered(rows: pa.Table) -> np.ndarray:
    """Return which rows have a status that carries a number, (rows,) bool."""
    return np.asarray(pc.is_in(row_status(rows), pa.array(NUMBERED)))


@final
class SIFD(Scorer):
    """Selective IFD of the clean rows: the IFD over the tokens that the instruction moves most."""

    signal: str = "base"
    k: float = Field(default=50.0, gt=0, le=100)
    """Percent of the pool's tokens that count."""
    mode: Literal["aligned", "official"] = "aligned"

    @property
    def undefined(self) -> str:
        """Why a row has no score."""
        return "one_token_answer" if self.mode == "aligned" else "one_token_answer_or_not_aligned"

    @property
    def reads(self) -> pa.Schema:
        """The losses of both passes, token by token."""
        parts = ("given", "alone")
        columns = [f"{part}.{column}" for part in parts for column in ("token_loss", "turns")]
        return schema(self.signal, *columns)

    @property
    def requires(self) -> Mapping[str, str]:
        """How the answer was cut into tokens."""
        return {"tokenisation": "exact" if self.mode == "aligned" else "official"}

    @property
    def fits_pool(self) -> bool:
        """The threshold is that of the pool."""
        return True

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table:
        """Return the threshold over the tokens of all rows that get a score."""
        return fit_threshold(lambda: (self._deltas(rows).values for rows in pool), self.k)

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Array:
        """Return S-IFD of each row.

        Raises:
            ValueError: nothing was fitted.
        """
        scores, _ = selective_ifd(self._deltas(rows), threshold_of(fitted))
        return pa.array(scores, from_pandas=True)

    def _deltas(self, rows: pa.Table) -> Deltas:
        """Delta of each row over all its answers; rows without a score are empty."""
        given, alone = (
            read_turns(rows, f"{self.signal}.{part}.token_loss", f"{self.signal}.{part}.turns")
            for part in ("given", "alone")
        )
        n_given, n_alone = (turns.ends - turns.starts for turns in (given, alone))
        n = np.minimum(n_given, n_alone)
        values = _last(alone, n) - _last(given, n)
        lengths = np.bincount(given.row, weights=n, minlength=len(rows)).astype(np.int64)
        deltas = Deltas(values, lengths)
        usable = numbered(rows) & deltas.finite()
        if self.mode == "official":
            missing = n_given - n_alone
            usable[given.row[(missing != 0) & (missing != 1)]] = False
        return deltas.only(usable)


def _last(turns: Turns, n: np.ndarray) -> np.ndarray:
    """The last `n` tokens of each turn, one turn after the other, float32."""
    begins = np.cumsum(n) - n
    places = np.arange(int(n.sum())) + np.repeat(turns.ends - n - begins, n)
    return np.asarray(turns.values[places], dtype=np.float32)
