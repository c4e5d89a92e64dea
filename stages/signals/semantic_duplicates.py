"""Rows that mean nearly the same: groups of rows with like vectors, inside clusters.

The distinct rows of a cluster are compared in pairs, as in SemDeDup (Abbas et al. 2023, arXiv
2303.09540): those with a cosine above `threshold` (1 - epsilon) are linked, and rows that are
linked, however many links apart, are a group. The rows that SemDeDup itself keeps are those of the
selector `sem_dedup`: at most one of each group.

    group   the smallest sample_id of the group; a lonely row, or one without a vector, has its own
    size    rows of the group
    cosine  the largest to another row of its group; null for a lonely row

Memory of `fit`: the vectors as fp32, which is refused beyond `memory_mb`; of one cluster at a time
also in double precision. Time goes with the square of the size of a cluster.
"""

from collections.abc import Iterable
from typing import ClassVar, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from ...errors import DataError
from ...scorers.features import Features, signal_column
from ..base import ROWS
from ..grouping import Grouped, several, state
from ..likes import alike
from ..points import Placed, Points, places_of

FP32 = 4  # bytes


@final
class SemanticDuplicates(Grouped):
    """The group of rows with nearly the same vector."""

    neutral: ClassVar[frozenset[str]] = frozenset({"memory_mb"})

    of: str
    """The column of vectors by full name, such as `text.embedding`."""
    weights: str | None = None
    """Of the checkpoints, where the vectors are gradients: see `clusters`."""
    clusters: str | None = "clusters.label"
    """Only rows with the same value here are compared; null: all with all."""
    threshold: float = Field(default=0.95, ge=-1, le=1)
    """Rows with a cosine above this are linked; 1 - epsilon."""
    memory_mb: int = Field(default=4096, ge=1)
    """For the vectors; changes no result."""

    @field_validator("of", "weights")
    @classmethod
    def _of_a_signal(cls, name: str | None) -> str | None:
        return signal_column(name)

    @property
    def reads(self) -> pa.Schema:
        """The vectors, their status, the clusters and the hash of the row."""
        own = [pa.field(self.clusters, pa.null())] if self.clusters else []
        return pa.schema([ROWS.field("sample_id"), *self._features.reads, *own])

    @property
    def more(self) -> tuple[str, ...]:
        """How like the row is to another of its group."""
        return ("cosine",)

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table:
        """Return the groups of several rows; reads three times.

        Raises:
            DataError: more vectors than `memory_mb` holds.
            ContractError: vectors of different lengths.
        """
        points = Points(self._features, unit=True)
        placed = points.placed(pool)
        self._check_memory(len(placed.ids), placed.numbers)
        vectors = points.gathered(pool, placed)
        labels, near = np.arange(len(vectors)), np.ones(len(vectors), np.float32)
        single = np.bincount(placed.of_rows, minlength=len(vectors)) == 1
        for members in self._members(pool, placed):
            own, likest = alike(vectors[members], self.threshold)
            _, first = np.unique(own, return_index=True)
            labels[members] = members[first[own]]
            near[members] = np.where(single[members], likest, 1.0)
        ids = placed.ids.take(pa.array(placed.of_rows))
        found = several(ids, labels[placed.of_rows])
        return state(ids, found, cosine=near[placed.of_rows[found.rows]])

    def status(self, rows: pa.Table) -> pa.Array:
        """Return that of the vectors."""
        return self._features.status(rows)

    @property
    def _features(self) -> Features:
        return Features(self.of, self.weights)

    def _members(self, pool: Iterable[pa.Table], placed: Placed) -> list[np.ndarray]:
        """The points of each cluster, as places; those of one that is null are in none."""
        if self.clusters is None:
            return [np.arange(len(placed.ids))]
        names, codes = list[pa.Array](), list[np.ndarray]()
        for table in pool:
            codes.append(places_of(table["sample_id"], placed.ids))
            names += table[self.clusters].chunks
        coded = pa.chunked_array(names).combine_chunks().dictionary_encode() if names else None
        if coded is None:
            return []
        own = np.full(len(placed.ids), -1)
        place, label = np.concatenate(codes), pc.fill_null(coded.indices, -1).to_numpy()
        there = place >= 0
        own[place[there][::-1]] = label[there][::-1]  # of copies, the first
        order = np.argsort(own, kind="stable")
        pieces = np.split(order, np.flatnonzero(np.diff(own[order])) + 1)
        return [piece for piece in pieces if len(piece) and own[piece[0]] >= 0]

    def _check_memory(self, n: int, numbers: int) -> None:
        needed = -(-n * numbers * FP32 >> 20)
        if needed > self.memory_mb:
            raise DataError(
                f"semantic_duplicates of {self.of}: the vectors of {n:,} distinct rows of "
                f"{numbers:,} numbers take {needed:,} MB, and memory_mb is {self.memory_mb}; set "
                f"memory_mb to {needed} or more, or take fewer rows or shorter vectors"
            )
