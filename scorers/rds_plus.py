"""RDS+: the largest cosine between a row and the rows of a target, in a model's hidden states.

    score(x) = max over queries q of cos(e(x), e(q)),  e = sum_i w_i h_i,  w_i = i / sum_j j

h_i are the last hidden states (after the final norm) of instruction and answer, i from 1. Source:
Ivison et al. 2025, arXiv 2503.01807; code open-instruct (pooling `weighted_mean`). The published
code leaves the attention mask out of e, which is right for batches of one row only; here padding is
masked. The published choice for one task is the selector `round_robin` by `<scorer>.by_query`, for
several tasks by `<scorer>.by_target`; that of `get_top_optimized` is `global_max`.
"""

from collections.abc import Mapping
from typing import final

from .embedded import Embedded
from .matching import Aggregate


@final
class RdsPlus(Embedded):
    """Similarity to the nearest row of a target, in position-weighted hidden states."""

    @property
    def requires(self) -> Mapping[str, str]:
        """Later tokens weigh more."""
        return {"pooling": "weighted_mean"}

    @property
    def how(self) -> Aggregate:
        """The nearest query."""
        return "max"
