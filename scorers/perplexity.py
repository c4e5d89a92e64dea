"""Perplexity of a row under the model: exp of its mean loss.

    score = exp(L)                                          L in nats per token

Ranks as `cross_entropy` does; the values are the ones that papers print. `prefer: middle` is the
mid-perplexity baseline (Ankner et al. 2024, arXiv 2405.20541; Ivison et al. 2025).
"""

from collections.abc import Iterable
from typing import final

import numpy as np
import pyarrow as pa

from .base import Scorer
from .cross_entropy import Part, answer_loss, loss_columns
from .preference import Preference, fit_quantiles, prefer


@final
class Perplexity(Scorer):
    """Perplexity of the answer given its instruction, or of another part of the row."""

    signal: str = "base"
    part: Part = "given"
    prefer: Preference = "high"

    @property
    def reads(self) -> pa.Schema:
        """Sums and counts of the losses."""
        return loss_columns(self.signal, self.part)

    @property
    def fits_pool(self) -> bool:
        """The middle of the pool must be known."""
        return self.prefer == "middle"

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table:
        """Return the quantiles of the pool."""
        return fit_quantiles(pool, self._value)

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Array:
        """Return the perplexity of each row, turned by `prefer`."""
        return prefer(self._value(rows), self.prefer, fitted)

    def _value(self, rows: pa.Table) -> np.ndarray:
        with np.errstate(over="ignore"):  # a loss over 709 nats: infinite, hence no score
            value: np.ndarray = np.exp(answer_loss(rows, self.signal, self.part))
        return value
