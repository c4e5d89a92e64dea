"""Cosine similarity of embeddings to the rows of targets; aggregations in `matching`."""

from typing import final

import pyarrow as pa

from .matching import Aggregate, Matching
from .signals import schema


@final
class Similarity(Matching):
    """How much a row is like the rows of a target, in any embedding."""

    signal: str = "base"
    aggregate: Aggregate = "max"

    @property
    def reads(self) -> pa.Schema:
        """The embedding of each row."""
        return schema(self.signal, "embedding", "status")

    @property
    def target_reads(self) -> pa.Schema:
        """The same of the target's rows."""
        return self.reads

    @property
    def compared(self) -> tuple[str, str]:
        """Embedding with embedding."""
        return (f"{self.signal}.embedding",) * 2

    @property
    def how(self) -> Aggregate:
        """As set."""
        return self.aggregate
