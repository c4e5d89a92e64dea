"""Runs one scorer over the parts of a pool, like any other stage."""

from collections.abc import Iterable, Sequence
from typing import Any, final

import pyarrow as pa
from pydantic import SerializeAsAny

from ..scorers.base import Scorer
from .base import Stage


@final
class Score(Stage):
    """Adds `score`, `status` and the details of a scorer."""

    scorer: SerializeAsAny[Scorer]

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

    @property
    def fits_pool(self) -> bool:
        """As the scorer."""
        return self.scorer.fits_pool

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table | None:
        """Return what the scorer must know of the whole pool.

        What it must know of targets (`Scorer.aim`) takes the same place.
        """
        return self.scorer.fit(pool)

    def found(self) -> str:
        """Return what the scorer found in the pool in a few words."""
        return "" if self._fitted is None else self.scorer.found(self._fitted)

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted of score, status and details."""
        optional = [name for name in self.scorer.optional.names if name in wanted]
        return self.scorer(rows, self._fitted, optional).select(list(wanted))
