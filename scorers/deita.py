"""DEITA: complexity times quality, turn by turn.

Liu et al. 2024, arXiv 2312.15685: two judges rate every turn from 1 to 6, one how complex its
instruction is, the other how good its answer. Each rating is the expectation over the six tokens,
sum over r of p(r) r, and

    score = sum over turns of complexity x quality

The judges are rating blocks with the prompts `deita_complexity` and `deita_quality`, or lists or
numbers that the rows carry. A conversation of more turns has a larger sum; the published order has
the same. A row in which a turn has only one of the two, or none, has no score.

The last step of DEITA, rows too like a better one left out, is the selector `diverse_top_k`.
"""

from typing import final

import numpy as np
import pyarrow as pa

from .base import Scorer
from .rated import NO_RATING, rating_lists, rating_schema


@final
class Deita(Scorer):
    """Complexity times quality, summed over the turns."""

    complexity: str = "complexity.ratings"
    """Ratings of the instructions, one per turn: of a rating block, or an input column such as
    `data.complexity`, a list or a number."""
    quality: str = "quality.ratings"
    """Ratings of the answers, likewise."""

    @property
    def undefined(self) -> str:
        """Why a row has no score."""
        return NO_RATING

    @property
    def reads(self) -> pa.Schema:
        """The ratings, and why a row has none."""
        return rating_schema(self.complexity, self.quality)

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Array:
        """Return the sum over turns of the products, NaN where a turn has no rating."""
        complexity, quality = (rating_lists(rows, name) for name in (self.complexity, self.quality))
        return pa.array(
            [
                float((one * other).sum()) if len(one) == len(other) > 0 else np.nan
                for one, other in zip(complexity, quality, strict=True)
            ],
            pa.float64(),
        )
