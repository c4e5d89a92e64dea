"""PASER's concept consistency graph: which concepts have been chosen together.

A row conflicts if two of its concepts are both in the graph, and no edge joins them: each is known,
but from other company. Otherwise it is accepted, and an edge drawn between each two of its concepts
(He et al. 2025, arXiv 2502.12594). So what is accepted depends on the order of the rows.

The published code draws edges only: the concept of a row that has no other stays unknown. With
`lone` it is known from then on, as the paper's definition of the vertices reads.
"""

from collections.abc import Sequence
from itertools import combinations


class ConceptGraph:
    """The concepts of the accepted rows.

    Attributes:
        lone: a concept by itself is put into the graph as well.
    """

    def __init__(self, lone: bool = False) -> None:
        self.lone = lone
        self._near: dict[str, set[str]] = {}

    def conflict(self, concepts: Sequence[str]) -> tuple[str, str] | None:
        """Return the first two of a row's concepts that conflict, in their order, or None."""
        known = [concept for concept in dict.fromkeys(concepts) if concept in self._near]
        for one, other in combinations(known, 2):
            if other not in self._near[one]:
                return one, other
        return None

    def add(self, concepts: Sequence[str]) -> None:
        """Put an accepted row's concepts into the graph."""
        each = set(concepts)
        if len(each) < 2 and not self.lone:
            return
        for concept in each:
            self._near.setdefault(concept, set()).update(each - {concept})
