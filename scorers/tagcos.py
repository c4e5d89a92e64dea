"""TAGCOS: the rows whose gradients, weighted, sum up to the mean gradient of their cluster.

Zhang et al. 2024, arXiv 2407.15235: cluster the projected gradients of all rows, and take the same
share of each cluster by orthogonal matching pursuit of its centroid (`scorers.pursuit`, ridge 1).

    score = 1 - (rows of the cluster picked up to and with this one) / (rows of the cluster)

Picks for a smaller share are the first picks for a larger one, so the best scores are the same
share of every cluster, whatever the budget: a budget of 5 % takes 5 % of each, rounded down, and
what is left over where the next pick is due soonest. Only a pick that is taken out again in the
pursuit where the budget ends can differ (see `scorers.pursuit`).

    cluster   its label
    pick      from 0
    weight    of the row in the sum

The centroid is the mean over the rows of the cluster, in the pool and not only in the sample of
`clusters`. A gradient is that of `scorers.features`: of unit length at each checkpoint, and the
weighted mean of these, as published. Rows of a cluster with the same content are one vector: they
count as many in the mean and in the share, and are picked together.

Only the first `most` of each cluster are searched for; other rows have the status `not_reached`.
The published budget is 0.05; the time of a cluster grows with `most`, and with the square of its
size: each pick compares the residual with every row.
"""

import math
from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ..errors import ContractError, DataError
from .base import NUMBERED, Scorer, row_status
from .features import Features, there
from .pursuit import Mode, pursue
from .signals import schema

STATE = pa.schema(
    [
        ("key", pa.string()),  # see `_keys`
        ("score", pa.float32()),
        ("cluster", pa.int32()),
        ("pick", pa.int32()),
        ("weight", pa.float32()),
    ]
)
FP32 = 4  # bytes


@final
class Tagcos(Scorer):
    """Place in the pursuit of the mean gradient of the row's cluster."""

    neutral: ClassVar[frozenset[str]] = frozenset({"memory_mb"})

    signal: str = "gradient"
    direction: Literal["adam", "plain"] = "adam"
    clusters: str = "clusters"
    """The signal whose labels say which rows belong together."""
    mode: Mode = "official"
    """official: as the published code; grad_match: as the algorithm it names."""
    most: float = Field(default=0.1, gt=0, le=1)
    """Share of each cluster that is searched for; at least the share of the pool that is wanted."""
    lam: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    tolerance: float = Field(default=1e-4, ge=0, allow_inf_nan=False)
    unit: bool = True
    """Set the gradient at each checkpoint to length 1."""
    memory_mb: int = Field(default=2048, ge=1)
    """For the vectors of the clusters that are worked on at a time, as fp32; changes no result. The
    pool is read once, and once more for every so many MB."""

    @property
    def undefined(self) -> str:
        """Why a row has no score."""
        return "not_reached"

    @property
    def reads(self) -> pa.Schema:
        """The gradients, the labels, and the hash of the row by which it is found again."""
        ids = pa.field("sample_id", pa.string())
        return pa.schema([ids, *self._features.reads, *schema(self.clusters, "label", "status")])

    @property
    def details(self) -> pa.Schema:
        """Cluster, place and weight in it."""
        return pa.schema([STATE.field(name) for name in ("cluster", "pick", "weight")])

    @property
    def fits_pool(self) -> bool:
        """The pursuits are over all rows."""
        return True

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table:
        """Return the picks of every cluster.

        Raises:
            DataError: a cluster takes more than `memory_mb`.
            ContractError: vectors of different lengths.
        """
        sizes, numbers = self._sizes(pool)
        picks = [STATE.empty_table()]
        for group in self._groups(sizes, numbers):
            for label, *members in self._gathered(pool, group, numbers):
                picks.append(self._picked(label, *members))
        return pa.concat_tables(picks).combine_chunks()

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return score, cluster, pick and weight of each row; null where it is not picked.

        Raises:
            ValueError: nothing was fitted.
        """
        if fitted is None:
            raise ValueError("tagcos needs the picks that `fit` finds in the pool")
        keys = _keys(rows["sample_id"], rows[f"{self.clusters}.label"])
        places = pc.index_in(keys, value_set=fitted["key"].combine_chunks())
        return fitted.select(["score", *self.details.names]).take(places)

    @property
    def _features(self) -> Features:
        column = f"{self.signal}.{self.direction}"
        return Features(column, f"{self.signal}.weights", self.unit)

    def _labels(self, rows: pa.Table) -> np.ndarray:
        """The cluster of each row that has a number and a vector, -1 for others."""
        numbered = pc.is_in(row_status(rows), pa.array(NUMBERED))
        for name in (self._features.of, f"{self.signal}.weights"):
            numbered = pc.and_(numbered, rows[name].combine_chunks().is_valid())
        labels = pc.fill_null(rows[f"{self.clusters}.label"].combine_chunks(), -1)
        return np.asarray(pc.if_else(numbered, labels, pa.scalar(-1, pa.int32())))

    def _sizes(self, pool: Iterable[pa.Table]) -> tuple[np.ndarray, int]:
        """Rows of each cluster at most, and numbers of a vector."""
        sizes, numbers = np.zeros(0, np.int64), 0
        for rows in pool:
            labels = self._labels(rows)
            usable = labels[labels >= 0]
            found = np.bincount(usable, minlength=len(sizes))
            found[: len(sizes)] += sizes
            sizes = found
            if not numbers and len(usable):
                first = rows.slice(int(np.flatnonzero(labels >= 0)[0]), 1)
                numbers = self._features.vectors(first).shape[1]
        return sizes, numbers

    def _groups(self, sizes: np.ndarray, numbers: int) -> Iterator[dict[int, int]]:
        """Clusters that fit into the memory together, with the rows of each.

        Half of it is for the rows of a group, half for those of one cluster in their order.
        """
        room = (self.memory_mb << 20) // (2 * FP32 * max(numbers, 1))
        group: dict[int, int] = {}
        for label, size in enumerate(sizes.tolist()):
            if size > room:
                needed = -(-2 * FP32 * numbers * size >> 20)
                raise DataError(
                    f"tagcos: cluster {label} of {self.clusters} has {size:,} rows of {numbers:,} "
                    f"numbers, and memory_mb is {self.memory_mb}; set memory_mb to {needed} or "
                    f"more, or take more clusters"
                )
            if sum(group.values()) + size > room:
                yield group
                group = {}
            if size:
                group[label] = size
        if group:
            yield group

    def _gathered(
        self, pool: Iterable[pa.Table], group: dict[int, int], numbers: int
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """Read the pool; yield each cluster with the distinct ids of its rows, in their order.

        Beside them how many rows have each, and the vectors.
        """
        vectors = np.empty((sum(group.values()), numbers), np.float32)
        owners, ids = np.empty(len(vectors), np.int32), np.empty(len(vectors), dtype=object)
        wanted, at = np.array(list(group)), 0
        for rows in pool:
            own = rows.filter(pa.array(np.isin(self._labels(rows), wanted)))
            labels, names = self._labels(own), own["sample_id"].to_numpy(zero_copy_only=False)
            for some, block in self._features.blocks(own):
                known = there(block)
                if block.shape[1] != numbers:
                    raise ContractError(
                        f"{self._features.of} has vectors of {block.shape[1]} and of {numbers} "
                        f"numbers"
                    )
                to = slice(at, at + int(known.sum()))
                vectors[to], at = block[known], to.stop
                owners[to], ids[to] = labels[some][known], names[some][known]
        for label in group:
            members = np.flatnonzero(owners[:at] == label)
            each, first, copies = np.unique(ids[members], return_index=True, return_counts=True)
            yield label, each, copies, vectors[members[first]]

    def _picked(
        self, label: int, ids: np.ndarray, copies: np.ndarray, vectors: np.ndarray
    ) -> pa.Table:
        """The picks of one cluster, in order."""
        n = copies.sum()
        goal = np.einsum("n,nd->d", copies / n, vectors, dtype=np.float64)
        most = math.ceil(round(self.most * n, 6))
        picks, weights = pursue(vectors, goal, copies, most, self.mode, self.lam, self.tolerance)
        scores = 1 - np.cumsum(copies[picks]) / n
        labels = pa.array([label] * len(picks), pa.int32())
        columns = {
            "key": _keys(pa.array(ids[picks], pa.string()), labels),
            "score": pa.array(scores, pa.float32()),
            "cluster": labels,
            "pick": pa.array(np.arange(len(picks)), pa.int32()),
            "weight": pa.array(weights, pa.float32()),
        }
        return pa.table(columns, STATE)


def _keys(ids: pa.ChunkedArray | pa.Array, labels: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Label and content of each row; null without a label.

    Copies of a row may lie in two clusters, where their vectors differ by rounding.
    """
    keys = pc.binary_join_element_wise(labels.cast(pa.string()), ids, ":")
    return keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
