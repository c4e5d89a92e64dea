"""Runs one scorer over the parts of a pool, like any other stage."""

from collections.abc import Sequence
from typing import Any, final

import pyarrow as pa
from pydantic import PrivateAttr, SerializeAsAny

from ..scorers.base import Scorer
from .base import Stage


@final
class Score(Stage):
    """Adds `score`, `status` and the details of a scorer."""

    scorer: SerializeAsAny[Scorer]

    _fitted: pa.Table | None = PrivateAttr(default=None)

    @property
    def reads(self) -> pa.Schema:
        """What the scorer reads."""
        return self.scorer.reads

    @property
    def adds(self) -> pa.Schema:
        """One number, or the reason why there is none; and what else the scorer finds."""
        fields = [pa.field("score", pa.float32()), pa.field("status", pa.string())]
        return pa.schema([*fields, *self.scorer.details, *self.scorer.optional])

    def identity(self) -> dict[str, Any]:
        """Return the scorer's own identity."""
        return self.scorer.identity()

    def fitted_with(self, fitted: pa.Table | None) -> "Score":
        """Return this stage with what `Scorer.fit` found in the pool, or `aim` in the targets."""
        fitted_stage = self.model_copy()
        fitted_stage._fitted = fitted
        return fitted_stage

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted of score, status and details."""
        optional = [name for name in self.scorer.optional.names if name in wanted]
        return self.scorer(rows, self._fitted, optional).select(list(wanted))
