"""DSIR: how much likelier a row is under the n-grams of a target than under those of the pool.

    score(x) = log w(x) = sum over buckets b of count_b(x) (log(q_b + 1e-8) - log(p_b + 1e-8))

with p the shares of the buckets in the pool and q those in the target, plus `pseudo_count` in each
of the latter's. Source: Xie et al. 2023, arXiv 2302.03169, and its code (p-lambda/dsir), which
draws rows in proportion to w, without replacement: the selector `sample`. The sum is not divided by
the length, so a long row has a larger weight than half of it, for better or worse.

The published code drops rows of less than 100 tokens without a word, which leaves little of
instruction data; here `min_tokens` is 0 and such rows have the status `too_short`. It fits p on the
first 100,000 x buckets n-grams of the pool, here on all.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import numpy as np
import pyarrow as pa
from pydantic import Field

from ..errors import ContractError, DataError
from .aimed import Aimed
from .base import NUMBERED, Scorer, floats, row_status
from .matrices import lists
from .signals import schema
from .turns import list_lengths, range_sums

SMOOTHING = 1e-8


@final
class Dsir(Aimed, Scorer):
    """Log importance weight of a row, from hashed n-gram counts of pool and target."""

    signal: str = "ngrams"
    separate: bool = False
    """Of several targets each has weights of its own, and the score is the largest; else their
    counts are added up, as if they were one."""
    pseudo_count: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Added to the count of every bucket of a target."""
    buckets: int = Field(default=10_000, ge=1)
    """As many as the signal has."""
    min_tokens: int = Field(default=0, ge=0)
    """Rows with fewer tokens have no score."""

    @property
    def undefined(self) -> str:
        """Why a row with n-grams has no score."""
        return "too_short"

    @property
    def reads(self) -> pa.Schema:
        """The counts."""
        return schema(self.signal, "buckets", "counts", "tokens", "status")

    @property
    def requires(self) -> Mapping[str, Any]:
        """A table of the same size."""
        return {"buckets": self.buckets}

    @property
    def fits_pool(self) -> bool:
        """The shares of the pool must be known."""
        return True

    @property
    def target_reads(self) -> pa.Schema:
        """The same of the target's rows."""
        return self.reads

    @property
    def details(self) -> pa.Schema:
        """Under which target the weight is largest; null where there is one for all."""
        return pa.schema([("target", pa.string())])

    @property
    def optional(self) -> pa.Schema:
        """The weight under each target, and the n-grams of each target, the same in every row."""
        return pa.schema(
            [("by_target", pa.list_(pa.float32())), ("size_by_target", pa.list_(pa.float32()))]
        )

    def fit_to_targets(self, pool: Iterable[pa.Table], targets: Mapping[str, pa.Table]) -> pa.Table:
        """Return the log ratios of the buckets, (buckets,) for each target or for all together.

        Raises:
            DataError: a target has no n-gram.
        """
        raw = np.zeros(self.buckets)
        for rows in pool:
            raw += self._totals(rows)
        own = {name: self._totals(targets[name]) for name in self.targets}
        for name, counts in own.items():
            if not counts.sum():
                raise DataError(f"targets.{name} has no n-grams in {self.signal}: no text")
        if not self.separate:
            own = {"": np.sum(list(own.values()), axis=0)}
        p = np.log(_shares(raw) + SMOOTHING)
        lines = {
            name: np.log(_shares(counts + self.pseudo_count) + SMOOTHING) - p
            for name, counts in own.items()
        }
        return pa.table(
            {
                "target": pa.array([name or None for name in lines], pa.string()),
                "size": pa.array([float(counts.sum()) for counts in own.values()]),
                "ratio": pa.array(list(lines.values()), pa.list_(pa.float64())),
            }
        )

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return weight and target of each row."""
        return self.score_with(rows, fitted, ())

    def score_with(
        self, rows: pa.Table, fitted: pa.Table | None, optional: Sequence[str]
    ) -> pa.Table:
        """Return that and the weights under each target.

        Raises:
            ValueError: nothing was fitted.
        """
        if fitted is None:
            raise ValueError("dsir needs the ratios that `fit_to_targets` finds")
        weights = self._weights(rows, fitted).astype(np.float32)
        weights[floats(rows, f"{self.signal}.tokens") < self.min_tokens] = np.nan
        best = weights.argmax(1) if len(rows) else np.zeros(0, np.int64)
        columns = {
            "score": pa.array(weights.max(1)),
            "target": fitted["target"].take(pa.array(best)),
        }
        sizes = np.tile(fitted["size"].to_numpy().astype(np.float32), (len(rows), 1))
        for name, values in (("by_target", weights), ("size_by_target", sizes)):
            if name in optional:
                columns[name] = lists(values)
        return pa.table(columns)

    def _weights(self, rows: pa.Table, fitted: pa.Table) -> np.ndarray:
        """The log weight of each row under each target, (rows, targets) float64."""
        buckets, counts = self._flat(rows)
        lengths = list_lengths(rows[f"{self.signal}.buckets"].combine_chunks())
        found = np.empty((len(rows), len(fitted)))
        for place, ratio in enumerate(fitted["ratio"]):
            found[:, place] = range_sums(np.asarray(ratio.values)[buckets] * counts, lengths)
        return found

    def _totals(self, rows: pa.Table) -> np.ndarray:
        """The count of every bucket over some rows."""
        usable = np.isin(row_status(rows).to_pylist(), NUMBERED)
        buckets, counts = self._flat(rows.filter(pa.array(usable, pa.bool_())))
        return np.bincount(buckets, weights=counts, minlength=self.buckets)

    def _flat(self, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """The buckets of all rows one after the other, and their counts."""
        buckets, counts = (
            np.asarray(rows[f"{self.signal}.{name}"].combine_chunks().flatten())
            for name in ("buckets", "counts")
        )
        if len(buckets) != len(counts):
            raise ContractError(f"{self.signal} has {len(counts)} counts of {len(buckets)} buckets")
        return buckets, counts.astype(np.float64)


def _shares(counts: np.ndarray) -> np.ndarray:
    return counts / max(float(counts.sum()), 1.0)
