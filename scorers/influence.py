"""LESS: how much training on a row would lower the loss of a target's rows, to first order.

    sim(x, q) = sum_i w_i cos(Gamma(x; theta_i), grad loss(q; theta_i)),   sum_i w_i = 1

over checkpoints i, with w_i the mean learning rate around checkpoint i, Gamma the direction that
Adam would take for x alone and the plain gradient of a query, both randomly projected. The score is
the mean over the queries of a subtask and the best subtask: `mean_max`. Source: Xia et al. 2024,
arXiv 2402.04333, and the published code (`matching.py`); what its paper calls the mean validation
gradient is `cosine_of_mean`, and gives other numbers.

The column of `weights` is the same in every row of a target; its length says how many checkpoints a
vector holds, one after the other. Vectors may be of any length and of any type of `matrices`; but
`cosine_of_mean` wants floats as long as the gradients are: what is kept at unit length, as int8 or
as signs counts alike for every query.
"""

from collections.abc import Mapping
from typing import Any, Literal, final

import numpy as np
import pyarrow as pa
from pydantic import Field

from ..errors import ContractError
from .matching import Aggregate, Matching
from .signals import schema


@final
class Influence(Matching):
    """Weighted mean of the cosines between projected gradients of a row and of a target's rows."""

    signal: str = "gradient"
    direction: Literal["adam", "plain"] = "adam"
    """Of a row: as Adam would go, or its gradient. Of a target's row it is always the gradient."""
    aggregate: Aggregate = "mean_max"
    dim: int | None = Field(default=None, ge=1)
    """Use only the first so many numbers of each checkpoint."""

    def misfit(self, signal: Mapping[str, Any]) -> str:
        """Return why the gradients are not what its settings are about."""
        dim, form = signal.get("dim"), signal.get("keep", "fp16")
        if self.dim is not None and signal.get("kind", "dense") != "dense":
            return f"dim ({self.dim}) takes the first numbers, which say nothing but in kind: dense"
        if self.dim is not None and isinstance(dim, int) and self.dim > dim:
            return f"dim is {self.dim}, but the signal has dim: {dim}"
        if self.aggregate == "cosine_of_mean" and (signal.get("normalise") or form != "fp16"):
            return (
                f"aggregate: cosine_of_mean needs gradients as long as they are, normalise: false "
                f"and keep: fp16; they have normalise: {signal.get('normalise')} and keep: {form}"
            )
        return ""

    @property
    def reads(self) -> pa.Schema:
        """The direction of each row, of any type that a vector can have."""
        return self._any(self.direction)

    @property
    def target_reads(self) -> pa.Schema:
        """The gradients of the target's rows, and the weights of the checkpoints."""
        weights = schema(self.signal, "weights").field(0)
        return self._any("plain").append(weights)

    @property
    def compared(self) -> tuple[str, str]:
        """A row's direction with a query's gradient."""
        return f"{self.signal}.{self.direction}", f"{self.signal}.plain"

    @property
    def how(self) -> Aggregate:
        """As set."""
        return self.aggregate

    def weigh(self, rows: pa.Table) -> np.ndarray:
        """Return the weights of the checkpoints, scaled to sum to 1.

        Raises:
            ContractError: not the same ones in every row, or none that can be scaled so.
        """
        name = f"{self.signal}.weights"
        found = [weights for weights in rows[name].to_pylist() if weights]
        if any(weights != found[0] for weights in found[1:]):
            raise ContractError(f"{name} must be the same in every row")
        weights = np.array(found[0] if found else [], dtype=np.float64)
        if not len(weights) or not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
            raise ContractError(f"{name} must be finite, none negative and not all 0: {weights}")
        return np.asarray(weights / weights.sum())

    def cut_at(self, numbers: int) -> int:
        """Return `dim`, or all.

        Raises:
            ContractError: there are not so many.
        """
        if self.dim is not None and self.dim > numbers:
            raise ContractError(
                f"influence: dim is {self.dim}, but {self.compared[1]} has {numbers} numbers at "
                f"each checkpoint"
            )
        return self.dim or numbers

    def _any(self, column: str) -> pa.Schema:
        """A column of vectors of any type, and the statuses of row and pass."""
        found = schema(self.signal, column)
        return found.set(0, pa.field(found.names[0], pa.null()))
