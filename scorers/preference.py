"""Which end of a raw value is worth keeping: the high, the low, or the middle of the pool.

The middle needs the pool's distribution. It is fitted as a table of quantiles, exact for pools of
up to `QUANTILES` rows and within 1 / `QUANTILES` beyond.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
import pyarrow as pa

from .base import Scorer

Preference = Literal["high", "low", "middle"]

QUANTILES = 100_001


def fit_quantiles(pool: Iterable[pa.Table], value: Callable[[pa.Table], np.ndarray]) -> pa.Table:
    """Return the sorted values of the pool, or `QUANTILES` evenly spaced ones of them.

    Args:
        pool: tables of the scorer's columns.
        value: gives a table's raw values, (rows,) float64; NaN is left out.
    """
    values = np.sort(np.concatenate([value(rows) for rows in pool] or [np.empty(0)]))
    values = values[np.isfinite(values)]
    if len(values) > QUANTILES:
        values = values[np.linspace(0, len(values) - 1, QUANTILES).round().astype(np.int64)]
    return pa.table({"quantile": values})


def prefer(values: np.ndarray, preference: Preference, fitted: pa.Table | None) -> pa.Array:
    """Return values turned so that higher = keep first.

    `middle` gives minus the distance of the value's percentile from 0.5, in [-0.5, 0].
    """
    if preference == "low":
        values = -values
    elif preference == "middle":
        if fitted is None:
            raise ValueError("the preference 'middle' needs the quantiles of the pool")
        values = -np.abs(_percentile(values, fitted["quantile"].to_numpy()) - 0.5)
    return pa.array(values, pa.float64(), from_pandas=True)


def _percentile(values: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Mid-rank of each value in the sorted quantiles, in [0, 1]; NaN stays NaN."""
    low = np.searchsorted(quantiles, values, "left")
    high = np.searchsorted(quantiles, values, "right")
    share: np.ndarray = np.where(
        np.isnan(values), np.nan, (low + high) / (2 * max(len(quantiles), 1))
    )
    return share


class Preferring(Scorer):
    """A scorer of one raw value per row, of which `prefer` says which end is worth keeping."""

    prefer: Preference = "high"

    @abstractmethod
    def value(self, rows: pa.Table) -> np.ndarray:
        """Return the raw values, (rows,) float64; NaN where there is none."""

    @property
    def fits_pool(self) -> bool:
        """The middle of the pool must be known."""
        return self.prefer == "middle"

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table:
        """Return the quantiles of the pool."""
        return fit_quantiles(pool, self.value)

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Array:
        """Return the value of each row, turned by `prefer`."""
        return prefer(self.value(rows), self.prefer, fitted)
