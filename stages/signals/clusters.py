"""Clusters of the pool's rows by their vectors: k-means.

    label     the cluster, from 0: the largest first, equal ones by their centroids
    distance  from the row's vector to the centroid (Euclidean; of unit vectors sqrt(2 - 2 cos))

faiss trains the centroids on a sample of the rows, by Lloyd's iterations from k rows drawn by the
seed. Rows are drawn by a hash of seed and content, so the centroids depend on what the pool holds
and not on its order. Then every row goes to its nearest centroid, in double precision. A cluster
may stay empty: where the pool has fewer distinct vectors than k, or where no row beyond the sample
is nearest to it. Labels and sizes are by the sample.

`k: sqrt` is the whole part of sqrt(n / 2), n the rows with a vector: 161 for the 52,002 of Alpaca,
as CaR has it. Memory of `fit`: 8 bytes per row, and the sample as fp32, which for 25,600 vectors of
8,192 numbers are 839 MB. The number of threads moves no bit of the centroids.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr, field_validator, model_validator

from ...errors import ContractError, DataError
from ...scorers.base import NUMBERED
from ...scorers.features import Features, signal_column, there
from ...scorers.matrices import matrix, unit
from ...scorers.random import bits
from ...scorers.signals import column_type
from ..base import ROWS, Stage

PER_CENTROID = 256
"""Rows that train a centroid at most, unless `sample` says how many there are in all."""


@final
class Clusters(Stage):
    """The nearest of k centroids that are fitted to the pool."""

    of: str
    """The column of vectors by full name, such as `base.embedding` or `gradient.adam`."""
    weights: str | None = None
    """Of the checkpoints, such as `gradient.weights`: the vectors at all checkpoints then become
    one, see `scorers.features`. Without it they are compared one after the other, as one long
    vector."""
    k: Annotated[int, Field(ge=1)] | Literal["sqrt"] = "sqrt"
    iterations: int = Field(default=25, ge=1)
    sample: int | None = Field(default=None, ge=1)
    """How many rows train the centroids at most; by default 256 for each."""
    unit: bool = True
    """Set vectors (of each checkpoint) to length 1."""
    spherical: bool = False
    """Set the vectors that are clustered, and the centroids, to length 1."""
    seed: int | None = None

    _threads: int = PrivateAttr(default=1)

    @field_validator("of", "weights")
    @classmethod
    def _of_a_signal(cls, name: str | None) -> str | None:
        return signal_column(name)

    @model_validator(mode="after")
    def _enough_to_train(self) -> Self:
        if self.sample is not None and self.k != "sqrt" and self.sample < self.k:
            raise ValueError(f"sample ({self.sample}) must be at least k ({self.k})")
        return self

    @property
    def reads(self) -> pa.Schema:
        """The vectors, their status, and the hash of the row that says whether it is drawn."""
        return pa.schema([ROWS.field("sample_id"), *self._features.reads])

    @property
    def adds(self) -> pa.Schema:
        """Cluster and distance, and why a row has none."""
        return pa.schema([(name, column_type(name)) for name in ("label", "distance", "status")])

    @property
    def fits_pool(self) -> bool:
        """The centroids are the pool's."""
        return True

    def use_threads(self, threads: int) -> None:
        """Let faiss use so many threads."""
        self._threads = threads

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table:
        """Return `centroid` and `size` (rows of the sample) of each cluster; reads the pool twice.

        Raises:
            DataError: more clusters than rows with a vector.
            ContractError: vectors of different lengths.
        """
        draws, numbers = self._draws(pool)
        n = len(draws)
        k = max(math.isqrt(n // 2), 1) if self.k == "sqrt" else self.k
        if k > n:
            raise DataError(
                f"clusters of {self.of}: k is {k}, but {n} rows of the pool have a vector; take a "
                f"smaller k, or more rows"
            )
        most = min(max(self.sample or PER_CENTROID * k, k), n)
        last = np.partition(draws, most - 1)[most - 1]
        drawn = draws <= last  # and copies of the last one
        vectors = np.empty((int(drawn.sum()), numbers), np.float32)
        places = np.argsort(np.argsort(draws[drawn], kind="stable"), kind="stable")
        at, seen = 0, 0
        for table in pool:
            for _, block in self._blocks(table):
                usable = block[there(block)]
                chosen = usable[drawn[seen : seen + len(usable)]]
                vectors[places[at : at + len(chosen)]] = chosen
                seen, at = seen + len(usable), at + len(chosen)
        return self._ordered(self._train(vectors, k), vectors)

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns.

        Raises:
            ValueError: nothing was fitted.
            ContractError: vectors of another length than the centroids.
        """
        if self._fitted is None:
            raise ValueError("clusters need the centroids that `fit` finds in the pool")
        centroids = matrix(self._fitted["centroid"], "centroid")
        labels, distances = np.zeros(len(rows), np.int32), np.zeros(len(rows), np.float32)
        known = np.zeros(len(rows), dtype=bool)
        for some, block in self._blocks(rows):
            known[some] = there(block)
            if known[some].any():
                _check_length(self.of, block, centroids.shape[1])
                labels[some], distances[some] = nearest(block, centroids)
        status = np.array(rows[self._features.status].to_pylist(), dtype=object)
        numbered = np.isin(status, NUMBERED)
        status[numbered & ~known] = "no_vector"
        columns = {
            "label": pa.array(labels, mask=~known),
            "distance": pa.array(distances, mask=~known),
            "status": pa.array(status, pa.string()),
        }
        return pa.table({name: columns[name] for name in wanted})

    @property
    def _features(self) -> Features:
        return Features(self.of, self.weights, self.unit)

    def _blocks(self, rows: pa.Table) -> Iterable[tuple[slice, np.ndarray]]:
        for some, vectors in self._features.blocks(rows):
            yield some, unit(vectors) if self.spherical else vectors

    def _draws(self, pool: Iterable[pa.Table]) -> tuple[np.ndarray, int]:
        """The draw of each row with a vector, in order, and how many numbers a vector has."""
        draws, numbers = [np.empty(0, np.uint64)], 0
        for table in pool:
            known = np.zeros(len(table), dtype=bool)
            for some, block in self._blocks(table):
                known[some] = there(block)
                if known[some].any():
                    numbers = numbers or block.shape[1]
                    _check_length(self.of, block, numbers)
            draws.append(bits(self.seed or 0, table["sample_id"].filter(pa.array(known))))
        return np.concatenate(draws), numbers

    def _train(self, vectors: np.ndarray, k: int) -> np.ndarray:
        """The centroids, (k, numbers) fp32, in no order."""
        import faiss  # heavy, and only the process that fits needs it

        faiss.omp_set_num_threads(self._threads)
        trained = faiss.Kmeans(
            vectors.shape[1],
            k,
            niter=self.iterations,
            seed=(self.seed or 0) % (1 << 31),
            spherical=self.spherical,
            min_points_per_centroid=1,  # no warnings
            max_points_per_centroid=len(vectors),  # the sample is drawn already
        )
        trained.train(vectors)
        return np.asarray(trained.centroids).reshape(k, -1)

    def _ordered(self, centroids: np.ndarray, vectors: np.ndarray) -> pa.Table:
        """The state: centroids in the order of their labels."""
        exact, sizes = centroids.astype(np.float64), np.zeros(len(centroids), np.int64)
        for start in range(0, len(vectors), PER_CENTROID):
            block = vectors[start : start + PER_CENTROID].astype(np.float64)
            sizes += np.bincount(nearest(block, exact)[0], minlength=len(centroids))
        order = sorted(range(len(sizes)), key=lambda c: (-sizes[c], centroids[c].tolist()))
        offsets = pa.array(np.arange(len(order) + 1) * centroids.shape[1], pa.int32())
        flat = pa.array(centroids[order].ravel())
        centroid = pa.ListArray.from_arrays(offsets, flat)
        return pa.table({"centroid": centroid, "size": pa.array(sizes[order])})


def nearest(vectors: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of the nearest centroid of each vector, and how far it is.

    Places are compared after rounding to fp32, the first of equal ones taken, and the distance is
    of the row alone: so neither depends on the other rows.

    Args:
        vectors: (rows, numbers) float64.
        centroids: (centroids, numbers) float64.

    Returns:
        (rows,) int32 and float32; anything for a row of NaN.
    """
    halves = np.square(centroids).sum(1) / 2
    close = (vectors @ centroids.T - halves).astype(np.float32)  # (|x|^2 - |x - c|^2) / 2
    labels = close.argmax(1).astype(np.int32)
    return labels, np.linalg.norm(vectors - centroids[labels], axis=1).astype(np.float32)


def _check_length(column: str, vectors: np.ndarray, numbers: int) -> None:
    if vectors.shape[1] != numbers:
        raise ContractError(f"{column} has vectors of {vectors.shape[1]} and of {numbers} numbers")
