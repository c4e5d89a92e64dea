"""What runs a scorer or a filter over the parts of a pool, like any other stage."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from ..scorers.base import Reader
from .base import Stage


class Reading(Stage, ABC):
    """Runs what reads columns: its reads, identity and fit are those of the `reader`."""

    @property
    @abstractmethod
    def reader(self) -> Reader:
        """The scorer or filter."""

    @property
    def reads(self) -> pa.Schema:
        """What the reader reads."""
        return self.reader.reads

    def identity(self) -> dict[str, Any]:
        """Return the reader's own identity."""
        return self.reader.identity()

    @property
    def fits_pool(self) -> bool:
        """As the reader."""
        return self.reader.fits_pool

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table | None:
        """Return what the reader must know of the whole pool."""
        return self.reader.fit(pool)

    def known(self, pool: Iterable[pa.Table], targets: Mapping[str, pa.Table]) -> pa.Table | None:
        """Return what the reader must know of pool and targets, in place of `fit`."""
        return self.reader.known(pool, targets)

    def found(self) -> str:
        """Return what the reader found, in a few words."""
        return "" if self._fitted is None else self.reader.found(self._fitted)
