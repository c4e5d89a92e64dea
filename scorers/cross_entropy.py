"""Mean loss of a row under the model: the plainest model-based baseline.

    score = L = -1/N sum log p(token)                       nats per token

of the answer given the instruction, of the answer alone, of the instruction, or of the whole text
(instruction and answer in one pass, as the perplexity baselines of "Large-Scale Data Selection for
Instruction Tuning", arXiv 2503.01807, do it). `prefer` keeps the high end, the low end or the
middle of the pool.
"""

from typing import Literal, final

import numpy as np
import pyarrow as pa

from .base import floats
from .preference import Preferring
from .signals import schema
from .turns import divide

Part = Literal["given", "alone", "instruction", "text"]


def answer_loss(rows: pa.Table, signal: str, part: Part) -> np.ndarray:
    """Return the mean loss of one part of each row, nats per token; NaN where it has no tokens."""
    parts = conditions(part)
    sums = sum(floats(rows, f"{signal}.{name}.token_loss_sum") for name in parts)
    counts = sum(floats(rows, f"{signal}.{name}.token_loss_count") for name in parts)
    return divide(np.asarray(sums), np.asarray(counts))


def conditions(part: Part) -> tuple[str, ...]:
    """Return the conditions whose tokens make up a part."""
    return ("instruction", "given") if part == "text" else (part,)


def loss_columns(signal: str, part: Part) -> pa.Schema:
    """Return the columns that `answer_loss` reads."""
    columns = [
        f"{name}.token_loss_{kind}" for name in conditions(part) for kind in ("sum", "count")
    ]
    return schema(signal, *columns)


@final
class CrossEntropy(Preferring):
    """Mean loss in nats per token."""

    signal: str = "base"
    part: Part = "given"

    @property
    def reads(self) -> pa.Schema:
        """Sums and counts of the losses."""
        return loss_columns(self.signal, self.part)

    def value(self, rows: pa.Table) -> np.ndarray:
        """Return the mean loss of each row."""
        return answer_loss(rows, self.signal, self.part)
