"""Perplexity of a row under the model: exp of its mean loss.

    score = exp(L)                                          L in nats per token

Ranks as `cross_entropy` does; the values are the ones that papers print. `prefer: middle` is the
mid-perplexity baseline (Ankner et al. 2024, arXiv 2405.20541; Ivison et al. 2025).
"""

from typing import final

import numpy as np
import pyarrow as pa

from .cross_entropy import Part, answer_loss, loss_columns
from .preference import Preferring


@final
class Perplexity(Preferring):
    """Perplexity of the answer given its instruction, or of another part of the row."""

    signal: str = "base"
    part: Part = "given"

    @property
    def reads(self) -> pa.Schema:
        """Sums and counts of the losses."""
        return loss_columns(self.signal, self.part)

    def value(self, rows: pa.Table) -> np.ndarray:
        """Return the perplexity of each row."""
        with np.errstate(over="ignore"):  # a loss over 709 nats: infinite, hence no score
            value: np.ndarray = np.exp(answer_loss(rows, self.signal, self.part))
        return value
