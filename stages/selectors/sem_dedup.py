"""SemDeDup (Abbas et al. 2023, arXiv 2303.09540): of rows that mean the same only the first.

The rows of a cluster are visited one after the other. A row is dropped if its cosine to some row
before it is above `threshold` (1 - epsilon): as in the published code also if that row was dropped
itself. So of a chain in which each row is like the next one alone the first is kept;
`diverse_top_k`, where only kept rows suppress others, keeps every other one of it.

By default rows are visited from the farthest from their centroid to the nearest, as published
(`hard`); another score may say the order.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal, final

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from ...scorers.base import floats
from ...scorers.features import Features, signal_column
from ..likes import NOBODY, nearest_earlier
from .base import Budget, Choice, Growth, Selector, by_value
from .groups import groups_of
from .vectors import row_vectors, why_not

TOO_LIKE = "too like an earlier row"


@final
class SemDedup(Selector):
    """Drops every row that is too like one before it in its cluster."""

    words: ClassVar[Mapping[str, str]] = {
        TOO_LIKE: "it is more like {detail}, which comes before it in its cluster, than the "
        "threshold allows; the margin is in cosine"
    }

    of: str
    """The column of vectors by full name, such as `text.embedding`."""
    weights: str | None = None
    """Of the checkpoints: see `clusters`."""
    clusters: str | None = "clusters.label"
    """Only rows with the same value here are compared; null: all with all."""
    by: str = "clusters.distance"
    """A column of numbers that says the order of the rows: a score, or the distance from the
    centroid."""
    prefer: Literal["high", "low"] = "high"
    """Which rows come first; with the distance `high` is published as hard, `low` as easy."""
    threshold: float = Field(default=0.95, ge=-1, le=1)
    """A row with a cosine above this to an earlier one is dropped; 1 - epsilon."""

    @field_validator("of", "weights")
    @classmethod
    def _of_a_signal(cls, name: str | None) -> str | None:
        return signal_column(name)

    @property
    def growth(self) -> Growth:
        """The threshold does not move."""
        return "never"

    @property
    def reads(self) -> pa.Schema:
        """The vectors, the clusters, and the order."""
        names = [self.by, *([self.clusters] if self.clusters else [])]
        own = [pa.field(name, pa.null()) for name in dict.fromkeys(names)]
        return pa.schema([*self._features.reads, *own])

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order: kept, dropped, without vector or cluster; each by its value.

        The margin is by how much the cosine to the nearest earlier row is below the threshold.
        """
        values = floats(pool, self.by) * (1 if self.prefer == "high" else -1)
        order = by_value(pool, values)
        near, like = self._visit(pool, order)
        limit = float(np.float32(self.threshold))
        without, dropped = np.isnan(near), near > limit
        kept = ~without & ~dropped
        margin = np.where(near == NOBODY, np.inf, limit - near)
        reason = np.full(len(pool), "", dtype=object)
        ids = pool["row_id"].to_numpy()
        for row in np.flatnonzero(dropped).tolist():
            reason[row] = f"{TOO_LIKE}: row {ids[like[row]]}"
        reason[without] = why_not(self._features.status(pool), np.flatnonzero(without))
        order = np.concatenate([order[group[order]] for group in (kept, dropped, without)])
        return Choice(order, int(kept.sum()), reason, margin, worth=values)

    def _visit(self, pool: pa.Table, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The largest cosine of each row to an earlier one, NaN without a vector, and to which."""
        near, like = np.full(len(pool), np.nan), np.zeros(len(pool), np.int64)
        group = np.zeros(len(pool), np.int64)
        if self.clusters:
            _, group = groups_of(pool[self.clusters])
        arranged = order[np.argsort(group[order], kind="stable")]
        for rows in np.split(arranged, np.flatnonzero(np.diff(group[arranged])) + 1):
            if not len(rows) or group[rows[0]] < 0:
                continue
            vectors = row_vectors(pool, rows, self._features, True)
            if not vectors.shape[1]:
                continue
            there = ~np.isnan(vectors[:, 0])
            some = rows[there]
            near[some], who = nearest_earlier(vectors[there])
            like[some] = some[who]
        return near, like

    @property
    def _features(self) -> Features:
        return Features(self.of, self.weights)
