"""Rows that stand for all others: each row is served by the chosen row that is most like it.

    f(S) = (1 - quality) sum over rows i of max over s in S of sim(i, s)
           + quality sum over s in S of score(s)

maximised greedily (`stages.selectors.coverage`), a similarity below 0 counting as 0. With `quality`
this is QDIT (Bukharin et al. 2023, arXiv 2311.14736), without it the last step of Superfiltering.D
(Li et al. 2024, arXiv 2402.00530). All rows that reach the selector are to be served.

    graph  similarities are those of a `knn` block; of rows that are not neighbours, either way, 0.
           The graph is of the whole pool: where an earlier selector left few rows, few of their
           neighbours are left, and `of` is the better choice.
    of     all pairs of vectors. They are held in double precision, 8 bytes per row and number, and
           their products are computed when they are needed, never all at once; the plain form
           would hold 433 MB for 10,400 rows. For every row taken the gains of 50 to 200 others are
           looked at again. Each costs rows x numbers operations, until few rows are left that
           gain; then only these count, and up to 200 MB of their similarities are held. So the
           time grows with rows^2 x numbers, several times over (2,080 of 10,400 made-up vectors of
           384 numbers: 19 s of one core). Beyond some thousand rows take the graph.

Rows with the same content count as many to be served, and all but the first come last.
"""

from typing import Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from ...scorers.features import Features, signal_column, there
from .base import Budget, Choice, Selector, score_schema, scores
from .coverage import Coverage, GraphCoverage, VectorCoverage, lazy_greedy
from .graph import graph_schema, read_graph
from .queries import Spending
from .turns import in_turn
from .vectors import even, row_vectors


@final
class FacilityLocation(Selector):
    """Keeps the rows that cover most of the others, until the budget is spent."""

    graph: str | None = None
    """A `knn` block, such as `knn`."""
    of: str | None = None
    """Or a column of vectors by full name, such as `base.embedding`: all pairs."""
    weights: str | None = None
    """Of the checkpoints, with `of`: see `clusters`."""
    similarity: Literal["cosine", "euclidean"] = "cosine"
    """With `of`; euclidean is exp(-distance / numbers) of the vectors as they are, as submodlib has
    it (1 to 0.995 for unit vectors of 384 numbers)."""
    quality: float = Field(default=0.0, ge=0, le=1)
    """Weight of the score beside the coverage."""
    by: str | None = None
    """The score."""

    @field_validator("of", "weights")
    @classmethod
    def _of_a_signal(cls, name: str | None) -> str | None:
        return signal_column(name)

    @model_validator(mode="after")
    def _settled(self) -> Self:
        if (self.graph is None) == (self.of is None):
            raise ValueError("give either graph (a knn block) or of (a column of vectors)")
        if self.graph and (self.weights or self.similarity != "cosine"):
            raise ValueError("weights and similarity belong to `of`; a graph has its own")
        if bool(self.quality) != (self.by is not None):
            raise ValueError("quality and by belong together: how much the score counts, and which")
        return self

    @property
    def reads(self) -> pa.Schema:
        """Graph or vectors, and the score."""
        own = graph_schema(self.graph) if self.graph else self._features.reads
        return pa.schema([*own, *score_schema(*[self.by] if self.by else [])])

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order by turn, each worth what it adds then; the others by what they would add."""
        rows = even(pool)
        ids = pool["sample_id"].take(pa.array(rows)).combine_chunks()
        first = np.ones(len(rows), dtype=bool)
        first[1:] = np.asarray(ids[1:].to_numpy(False) != ids[:-1].to_numpy(False))
        copies = np.bincount(np.cumsum(first) - 1) if len(rows) else np.zeros(0, np.int64)
        known, coverage = self._coverage(pool, rows[first], copies)
        usable = rows[first][known]
        bonus = self.quality * scores(pool, self.by)[usable] if self.by else np.zeros(len(usable))
        spending = Spending.of(pool, usable, budget)
        turns = lazy_greedy(coverage, 1 - self.quality, bonus, spending)
        again = rows[~first][known[np.cumsum(first) - 1][~first]]
        return in_turn(pool, budget, usable, turns, self._status(pool), again)

    def _coverage(
        self, pool: pa.Table, rows: np.ndarray, copies: np.ndarray
    ) -> tuple[np.ndarray, Coverage]:
        """Which rows have a place or a vector, and what these cover."""
        if self.graph:
            graph = read_graph(pool, self.graph)
            known = graph.place[rows] >= 0
            return known, GraphCoverage(graph, rows[known], copies[known])
        euclidean = self.similarity == "euclidean"
        vectors = row_vectors(pool, rows, self._features, not euclidean)
        known = there(vectors)
        vectors = vectors if known.all() else vectors[known]  # no copy where there need be none
        return known, VectorCoverage(vectors, copies[known], euclidean)

    @property
    def _features(self) -> Features:
        return Features(self.of or "", self.weights, self.similarity == "cosine")

    def _status(self, pool: pa.Table) -> pa.Array | pa.ChunkedArray:
        return pool[f"{self.graph}.status"] if self.graph else self._features.status(pool)
