"""SelectIT: how high a model rates a row, how sure of it, and how alike under other wordings.

Liu et al. 2024, arXiv 2402.16705: with p the probabilities of the rating tokens 1 to K (5) after
one of several wordings of the question, and r the likeliest rating,

    token     s = r x mean over the other ratings q of (p(r) - p(q))
    sentence  S = mean(s) / (1 + alpha std(s))            over the wordings, alpha 0.2
    model     score = sum over models m of w_m S_m

The published weights of a mix of models of 7, 13 and 70 B are 7/20, 13/20 and 70/90.

    formula    as written
    published  the released code takes a softmax of p, of numbers that are probabilities already:
               they come near each other, and so do the scores

That code names the rating tokens by their numbers in one tokenizer; here they are the judge's own.
The deviation is of the wordings at hand, not an estimate (numpy's default), as there.
"""

from typing import Annotated, Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, FiniteFloat, model_validator

from .base import Scorer
from .rated import NO_RATING, rating_lists, rating_schema

Mix = Annotated[dict[str, FiniteFloat], Field(min_length=1)]
SCALE = (1.0, 2.0, 3.0, 4.0, 5.0)


@final
class Selectit(Scorer):
    """Rating times certainty, less where wordings disagree."""

    of: str | Mix = "judge.probabilities"
    """Probabilities of the rating tokens, wording after wording: of a rating block, or an input
    column such as `data.probabilities`; or several with the weight of each model."""
    mode: Literal["formula", "published"] = "formula"
    alpha: float = Field(default=0.2, ge=0, allow_inf_nan=False)
    """How much disagreement of the wordings counts."""
    scale: tuple[FiniteFloat, ...] | None = None
    """The numbers of the rating tokens, rising; by default those of the block, 1 to 5 for an input
    column."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        scale = self.scale
        if scale is not None and (len(scale) < 2 or list(scale) != sorted(set(scale))):
            raise ValueError(f"scale must be two rising numbers or more, not {list(scale)}")
        return self

    @property
    def undefined(self) -> str:
        """Why a row has no score."""
        return NO_RATING

    @property
    def reads(self) -> pa.Schema:
        """The probabilities, and what they are of."""
        own = rating_schema(*self._weights)
        scales = [(name, pa.null()) for name in map(self._scale_of, self._weights) if name]
        return pa.schema([*own, *scales])

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Array:
        """Return the weighted sum of the models' scores, NaN where a model has none."""
        total = np.zeros(len(rows))
        for name, weight in self._weights.items():
            own = self._scale_of(name)
            scales = rating_lists(rows, own) if own else [np.array(self.scale or SCALE)] * len(rows)
            found = rating_lists(rows, name)
            pairs = zip(found, scales, strict=True)
            total += weight * np.array([self._sentence(p, scale) for p, scale in pairs] or [])
        return pa.array(total)

    @property
    def _weights(self) -> Mix:
        return self.of if isinstance(self.of, dict) else {self.of: 1.0}

    def _scale_of(self, name: str) -> str | None:
        """The column of the numbers that probabilities are of, where a block says them."""
        block = name.partition(".")[0]
        return None if self.scale or block == "data" else f"{block}.scale"

    def _sentence(self, flat: np.ndarray, scale: np.ndarray) -> float:
        """The score of one row by one model."""
        if not len(flat) or not len(scale) or len(flat) % len(scale) or np.isnan(flat).any():
            return float("nan")
        probabilities = flat.reshape(-1, len(scale))
        if self.mode == "published":
            grown = np.exp(probabilities)
            probabilities = grown / grown.sum(1, keepdims=True)
        best = probabilities.argmax(1)
        largest = probabilities.max(1)
        others = len(scale) - 1
        gap = (largest[:, None] - probabilities).sum(1) / others
        tokens = scale[best] * gap
        return float(tokens.mean() / (1 + self.alpha * tokens.std()))
