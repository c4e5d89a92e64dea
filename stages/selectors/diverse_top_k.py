"""The best scores, but for rows that are too like a better one.

Rows are visited best score first; one whose largest cosine to a row that is kept already exceeds
`threshold` is skipped. This is the last step of DEITA (Liu et al. 2024, arXiv 2312.15685), with
0.9. Only kept rows suppress others, as with the published code at a batch size of 1: with larger
batches it also compares with rows of the batch that were skipped themselves.

    of     the vectors. Those of kept rows are held in double precision, 8 bytes per number; each
           row that is visited is compared with all of them.
    graph  the edges of a `knn` block, either way. The choice is the same wherever the k neighbours
           of a row hold all rows above the threshold; of how many visited rows that is not sure,
           since the last neighbour still lies above it and there are more rows, a warning says.
"""

import logging
from collections.abc import Mapping
from typing import ClassVar, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from ...scorers.features import Features, signal_column
from .base import OVER_BUDGET, Budget, Choice, Selector, by_score, score_schema, scores
from .graph import Graph, graph_schema, read_graph
from .queries import Spending
from .suppression import NOWHERE, Kept, KeptPlaces, KeptVectors
from .vectors import why_not

log = logging.getLogger(__name__)

TOO_LIKE = "too like a kept row"


@final
class DiverseTopK(Selector):
    """Keeps the best scores that are not too like each other, until the budget is spent."""

    words: ClassVar[Mapping[str, str]] = {
        TOO_LIKE: "a better row that is kept is more like it than the threshold allows; the margin "
        "is in cosine"
    }

    by: str
    of: str | None = None
    """A column of vectors by full name, such as `base.embedding`."""
    weights: str | None = None
    """Of the checkpoints, with `of`: see `clusters`."""
    graph: str | None = None
    """Or a `knn` block, such as `knn`."""
    threshold: float = Field(default=0.9, ge=-1, le=1)
    """A row with a cosine above this to a kept row is skipped."""

    @field_validator("of", "weights")
    @classmethod
    def _of_a_signal(cls, name: str | None) -> str | None:
        return signal_column(name)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.graph is None) == (self.of is None):
            raise ValueError("give either of (a column of vectors) or graph (a knn block)")
        if self.graph and self.weights:
            raise ValueError("weights belong to `of`; a graph has its own")
        return self

    @property
    def reads(self) -> pa.Schema:
        """The score, and vectors or graph."""
        own = graph_schema(self.graph) if self.graph else self._features.reads
        return pa.schema([*score_schema(self.by), *own])

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order: kept, not visited, skipped, without a vector; each by score.

        The margin of a skipped row, below 0, is by how much its cosine exceeds the threshold.
        """
        order, values = by_score(pool, self.by), scores(pool, self.by)
        near = self._visit(pool, order, Spending(budget.costs(pool), budget.limit))
        limit = self._limit()
        without, skipped = near == NOWHERE, near > limit
        kept = ~np.isnan(near) & ~without & ~skipped
        with np.errstate(invalid="ignore"):
            margin = values - values[kept].min(initial=np.inf)
        margin[skipped], margin[without] = limit - near[skipped], np.nan
        reason = np.full(len(pool), OVER_BUDGET, dtype=object)
        reason[skipped] = TOO_LIKE
        reason[without] = why_not(self._status(pool), np.flatnonzero(without))
        groups = (kept, ~kept & ~skipped & ~without, skipped, without)
        order = np.concatenate([order[group[order]] for group in groups])
        return Choice(order, int(kept.sum()), reason, margin)

    def _visit(self, pool: pa.Table, order: np.ndarray, spending: Spending) -> np.ndarray:
        """The largest cosine of each row to those kept before it, NaN for rows not visited."""
        near, limit = np.full(len(pool), np.nan), self._limit()
        kept: Kept
        if self.graph:
            graph = read_graph(pool, self.graph)
            kept = KeptPlaces(graph, order)
        else:
            kept = KeptVectors(pool, order, self._features)
        for turn, row in enumerate(order.tolist()):
            found = kept.nearest(turn)
            if NOWHERE < found <= limit:
                if not spending.spend(row):
                    break
                kept.keep(turn)
            near[row] = found
        if self.graph:
            _warn(graph, near, limit)
        return near

    @property
    def _features(self) -> Features:
        return Features(self.of or "", self.weights)

    def _status(self, pool: pa.Table) -> pa.Array | pa.ChunkedArray:
        return pool[f"{self.graph}.status"] if self.graph else self._features.status(pool)

    def _limit(self) -> float:
        return float(np.float32(self.threshold))  # cosines are float32


def _warn(graph: Graph, near: np.ndarray, limit: float) -> None:
    """Say where a longer list of neighbours might hold more rows above the threshold."""
    visited = np.flatnonzero(~np.isnan(near) & (np.diff(graph.starts) > 0))
    k = int(np.diff(graph.starts).max(initial=0))
    last = graph.starts[1:][visited] - 1
    above = visited[graph.similarity[last] > limit]
    left = np.unique(graph.place[graph.place >= 0])
    seen = np.concatenate([[0], np.cumsum(np.isin(graph.neighbours, left))])
    n_seen = seen[graph.starts[1:][above]] - seen[graph.starts[above]]
    unsure = int((n_seen < len(left) - 1).sum())  # others have all other rows as neighbours
    if unsure:
        log.warning(
            "diverse_top_k: all %d neighbours of %d of %d rows lie above the threshold; rows "
            "beyond them are not seen, a larger k of the graph shows them",
            k,
            unsure,
            len(visited),
        )
