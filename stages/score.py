"""Runs one scorer over the parts of a pool, like any other stage."""

from collections.abc import Sequence
from typing import final

import pyarrow as pa
from pydantic import SerializeAsAny

from ..scorers.base import Reader, Scorer
from .reading import Reading


@final
class Score(Reading):
    """Adds `score`, `status` and the details of a scorer."""

    scorer: SerializeAsAny[Scorer]

    @property
    def reader(self) -> Reader:
        """The scorer."""
        return self.scorer

    @property
    def adds(self) -> pa.Schema:
        """One number, or the reason why there is none; and what else the scorer finds."""
        fields = [pa.field("score", pa.float32()), pa.field("status", pa.string())]
        return pa.schema([*fields, *self.scorer.details, *self.scorer.optional])

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted of score, status and details."""
        optional = [name for name in self.scorer.optional.names if name in wanted]
        return self.scorer(rows, self._fitted, optional).select(list(wanted))
