"""Length of the answer: the baseline that many methods fail to beat.

    score = number of tokens, words or characters

Zhao et al. 2024, "Long Is More for Alignment", arXiv 2402.04833: the 1,000 longest answers.
"""

from typing import Literal, final

import numpy as np
import pyarrow as pa

from .base import floats
from .preference import Preferring
from .signals import schema


@final
class Length(Preferring):
    """Length of the answer or the instruction; tokens need a signal with a tokenizer."""

    signal: str = "length"
    side: Literal["answer", "instruction"] = "answer"
    unit: Literal["tokens", "words", "chars"] = "tokens"
    prefer: Literal["high", "low"] = "high"

    @property
    def reads(self) -> pa.Schema:
        """One count."""
        return schema(self.signal, f"{self.side}_{self.unit}")

    def value(self, rows: pa.Table) -> np.ndarray:
        """Return the length of each row."""
        return floats(rows, self.reads.names[0])
