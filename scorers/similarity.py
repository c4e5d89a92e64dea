"""Cosine similarity of embeddings to the rows of targets; aggregations in `matching`."""

from typing import final

from .embedded import Embedded
from .matching import Aggregate


@final
class Similarity(Embedded):
    """How much a row is like the rows of a target, in any embedding."""

    aggregate: Aggregate = "max"

    @property
    def how(self) -> Aggregate:
        """As set."""
        return self.aggregate
