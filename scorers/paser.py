"""PASER's efficiency score: how much pruning changed what the model says of a row, for its cost.

    score = mean JSD / ln(cost),    cost = (tokens of instruction and answer)^2

He et al. 2025, arXiv 2502.12594, eq. 7. JSD, in nats per token, is the divergence of the original
model's and the pruned one's predictions.

paper     mean over the tokens of the answer, given the instruction
official  as the published code has it: the sum over the tokens of the instruction, and the cost
          from the tokens of the instruction and the *characters* of the answer

Tokens are counted before any cut at the window; those of the instruction as the signal that counts
them writes it, with the words of its template.

    divergence   mean JSD, or its sum: what a cluster's degradation is the mean of
"""

from typing import Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import model_validator

from .base import Scorer, floats
from .signals import schema
from .turns import mean


@final
class Paser(Scorer):
    """Divergence over the logarithm of the cost; rows of one token have none."""

    signal: str = "divergence"
    """Of the two models."""
    lengths: str | None = None
    """Counts the tokens; by default the same. `official` needs the signal length with a tokenizer,
    for the characters."""
    mode: Literal["paper", "official"] = "paper"

    @model_validator(mode="after")
    def _characters(self) -> Self:
        if self.mode == "official" and self.lengths is None:
            raise ValueError(
                "mode official needs `lengths`, a signal that counts characters and tokens: length "
                "with a tokenizer"
            )
        return self

    @property
    def undefined(self) -> str:
        """Why a row has no score."""
        return "too_few_tokens"

    @property
    def reads(self) -> pa.Schema:
        """Sum and count of the divergences, and two lengths."""
        kinds = ("sum", "count") if self.mode == "paper" else ("sum",)
        sums = schema(self.signal, *(f"{self._part}.jsd_{kind}" for kind in kinds))
        return pa.schema([*sums, *schema(self._lengths, "instruction_tokens", self._answer)])

    @property
    def details(self) -> pa.Schema:
        """The divergence that the score is of."""
        return pa.schema([("divergence", pa.float64())])

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return score and divergence of each row; null where ln(cost) is not above 0."""
        column = f"{self.signal}.{self._part}.jsd"
        divergence = mean(rows, column) if self.mode == "paper" else floats(rows, f"{column}_sum")
        n = floats(rows, f"{self._lengths}.instruction_tokens")
        n = n + floats(rows, f"{self._lengths}.{self._answer}")
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.where(n > 1, divergence / (2 * np.log(n)), np.nan)
        return pa.table({"score": score, "divergence": divergence})

    @property
    def _part(self) -> str:
        return "given" if self.mode == "paper" else "instruction"

    @property
    def _lengths(self) -> str:
        return self.lengths or self.signal

    @property
    def _answer(self) -> str:
        return "answer_tokens" if self.mode == "paper" else "answer_chars"
