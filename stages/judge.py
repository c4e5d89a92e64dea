"""Runs one filter over the parts of a pool, like any other stage."""

from collections.abc import Sequence
from typing import final

import pyarrow as pa
from pydantic import SerializeAsAny

from ..scorers.base import Reader
from .filters.base import REASON, Filter
from .reading import Reading


@final
class Judge(Reading):
    """Adds `reason` and the details of a filter."""

    filter: SerializeAsAny[Filter]

    @property
    def reader(self) -> Reader:
        """The filter."""
        return self.filter

    @property
    def adds(self) -> pa.Schema:
        """Why a row is not wanted, and what the filter measured."""
        return pa.schema([REASON, *self.filter.details])

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted of reason and details."""
        return self.filter(rows, self._fitted).select(list(wanted))
