"""Scorers that compare the embeddings of rows with those of a target's rows."""

import pyarrow as pa

from .matching import Matching
from .signals import schema


class Embedded(Matching):
    """Reads the embedding of one signal, on both sides."""

    signal: str = "base"

    @property
    def reads(self) -> pa.Schema:
        """The embedding of each row."""
        return schema(self.signal, "embedding")

    @property
    def target_reads(self) -> pa.Schema:
        """The same of the target's rows."""
        return self.reads

    @property
    def compared(self) -> tuple[str, str]:
        """Embedding with embedding."""
        return (f"{self.signal}.embedding",) * 2
