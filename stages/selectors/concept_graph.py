"""PASER's concept consistency graph: which concepts have been chosen together.

A row conflicts if two of its concepts are both in the graph, and no edge joins them: each is known,
but from other company. Otherwise it is accepted, and an edge drawn between each two of its concepts
(He et al. 2025, arXiv 2502.12594). So what is accepted depends on the order of the rows.

The published code draws edges only: the concept of a row that has no other stays unknown. With
`lone` it is known from then on, as the paper's definition of the vertices reads.

Edges of short rows are held as they are. A long row of n concepts would have n^2 of them: its
number is held with each of its concepts, and an edge is a number that two concepts share. So memory
grows with the number of concepts.
"""

from collections.abc import Sequence
from itertools import combinations

SHORT = 16  # concepts of a row whose edges are held; changes no decision
NOWHERE: frozenset[int] = frozenset()


class ConceptGraph:
    """The concepts of the accepted rows.

    Attributes:
        lone: a concept by itself is put into the graph as well.
    """

    def __init__(self, lone: bool = False) -> None:
        self.lone = lone
        self._near: dict[str, set[str]] = {}  # every known concept, and its edges by short rows
        self._long: dict[str, set[int]] = {}  # the long rows of a concept
        self._n_long = 0

    def conflict(self, concepts: Sequence[str]) -> tuple[str, str] | None:
        """Return the first two of a row's concepts that conflict, in their order, or None."""
        known = [concept for concept in dict.fromkeys(concepts) if concept in self._near]
        long = [self._long.get(concept, NOWHERE) for concept in known]
        if len(known) > SHORT and long[0].intersection(*long[1:]):
            return None  # all are of one long row, which spares a look at all pairs
        for (one, rows), (other, others) in combinations(zip(known, long, strict=True), 2):
            if other not in self._near[one] and rows.isdisjoint(others):
                return one, other
        return None

    def add(self, concepts: Sequence[str]) -> None:
        """Put an accepted row's concepts into the graph."""
        each = set(concepts)
        if len(each) < 2 and not self.lone:
            return
        if len(each) <= SHORT:
            for concept in each:
                self._near.setdefault(concept, set()).update(each - {concept})
            return
        for concept in each:
            self._near.setdefault(concept, set())
            self._long.setdefault(concept, set()).add(self._n_long)
        self._n_long += 1
