"""How undecided the model is where the answer stands: mean entropy of its predictions.

    score = 1/N sum_t H(p( . | instruction, answer before t))       nats per token

Does not look at which token the answer takes, only at how open the choice was (the token entropies
of Lu et al. 2025 on proxy metrics, and of OpenDataArena's baselines).
"""

from typing import Literal, final

import numpy as np
import pyarrow as pa

from .preference import Preferring
from .signals import schema
from .turns import mean


@final
class Entropy(Preferring):
    """Mean entropy over the tokens of the answer."""

    signal: str = "base"
    part: Literal["given", "alone"] = "given"
    prefer: Literal["high", "low"] = "high"

    @property
    def reads(self) -> pa.Schema:
        """Sum and count of the entropies."""
        columns = (f"{self.part}.entropy_sum", f"{self.part}.entropy_count")
        return schema(self.signal, *columns)

    def value(self, rows: pa.Table) -> np.ndarray:
        """Return the mean entropy of each row."""
        return mean(rows, f"{self.signal}.{self.part}.entropy")
