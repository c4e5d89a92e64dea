"""GRAPE: how well an answer fits the model that is to be trained, by its own probabilities.

    score = exp(mean log p(token)) = exp(-L),    L: mean loss of the answer given the instruction

under the base model. Of several answers to an instruction the one with the highest score is taken:
the selector `representatives` by the group of the instruction. The mean and not the sum decides, or
the shortest answer would win. Source: Zhang et al. 2025, arXiv 2502.04194.

A degenerate answer wins easily: a single word is cheap, and so is one word again and again. So rows
under a floor have no score but the status `below_floor`: fewer scored tokens than `min_tokens`, or
a `quality` under `at_least`.
"""

from typing import Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from .base import Scorer, floats
from .cross_entropy import answer_loss, loss_columns


@final
class Grape(Scorer):
    """Length-normalised probability of the answer under the base model, 0 to 1."""

    signal: str = "base"
    min_tokens: int = Field(default=5, ge=0)
    """Scored tokens that an answer must have."""
    quality: str | None = None
    """A score that must be high enough, such as `rated.score`."""
    at_least: float | None = Field(default=None, allow_inf_nan=False)
    """How high."""

    @field_validator("quality")
    @classmethod
    def _a_score(cls, quality: str | None) -> str | None:
        if quality is not None and not quality.endswith(".score"):
            raise ValueError(
                f"must be a score, such as rated.score, not {quality!r}; a column of the rows "
                f"becomes one by the scorer column"
            )
        return quality

    @model_validator(mode="after")
    def _a_floor(self) -> Self:
        if (self.quality is None) != (self.at_least is None):
            raise ValueError("quality and at_least belong together: which score, and how high")
        return self

    @property
    def undefined(self) -> str:
        """Why a row with losses has no score."""
        return "below_floor"

    @property
    def reads(self) -> pa.Schema:
        """Sum and count of the losses, and the quality."""
        fields = list(loss_columns(self.signal, "given"))
        if self.quality:
            status = f"{self.quality.removesuffix('.score')}.status"
            fields += [pa.field(self.quality, pa.float32()), pa.field(status, pa.string())]
        return pa.schema(fields)

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Array:
        """Return the probability of each row."""
        fits = np.exp(-answer_loss(rows, self.signal, "given"))
        low = floats(rows, f"{self.signal}.given.token_loss_count") < self.min_tokens
        if self.quality:
            # a score is a float32; what is compared with it must be one, or .1 is not at least .1
            low |= ~(floats(rows, self.quality) >= float(np.float32(self.at_least)))
        fits[low] = np.nan
        return pa.array(fits)
