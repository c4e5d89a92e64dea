"""Clusters of the pool's rows by their vectors: k-means.

    label     the cluster, from 0: the largest first, equal ones by their centroids
    distance  from the row's vector to the centroid (Euclidean; of unit vectors sqrt(2 - 2 cos))

The centroids are trained on a sample of the rows (`stages.kmeans`). Rows are drawn by a hash of
seed and content, so the centroids depend on what the pool holds and not on its order. Then every
row goes to its nearest centroid, in double precision. A cluster may stay empty: where the pool has
fewer distinct vectors than k, or where no row beyond the sample is nearest to it. Labels and sizes
are by the sample.

`k: sqrt` is the whole part of sqrt(n / 2), n the rows with a vector: 161 for the 52,002 of Alpaca,
as CaR has it. `k: gain` chooses from `grid` by the largest relative gain (`scorers.gain`) of the
inertia, as a share of that with one cluster, all trained on the sample of the grid's largest k.

`balanced` makes clusters of near equal sizes by a price for each centroid (`stages.balancing`), so
that a row's centroid need not be its nearest one. Sizes are balanced on the sample, mostly to 1 %,
and said when the clusters are there. Rows beyond the sample pay the same prices: the size of a
cluster with 256 rows in the sample is then off by about 6 % (a standard deviation), with 1,024 rows
by 3 %. Where the sample is the whole pool, nothing is beyond it.

Memory of `fit`: 8 bytes per row, and the sample as fp32, which for 25,600 vectors of 8,192 numbers
are 839 MB; with `balanced` also 8 bytes for each pair of a row of the sample and a centroid. All of
it takes one thread, so that nothing depends on how many there are (`stages.kmeans`).
"""

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from ...errors import ContractError, DataError
from ...scorers.base import NUMBERED
from ...scorers.features import Features, signal_column, there
from ...scorers.gain import GRID, best_of, checked
from ...scorers.matrices import matrix, unit
from ...scorers.random import bits
from ...scorers.signals import column_type
from ..balancing import LARGEST, balance
from ..base import ROWS, Stage
from ..kmeans import Method, Start, Training, inertia, members, nearest

PER_CENTROID = 256
"""Rows that train a centroid at most, unless `sample` says how many there are in all."""

SHORTEST, LONGEST = 1e-12, 1e12


@final
class Clusters(Stage):
    """The nearest of k centroids that are fitted to the pool."""

    version: ClassVar[int] = 2

    of: str
    """The column of vectors by full name, such as `base.embedding` or `gradient.adam`."""
    weights: str | None = None
    """Of the checkpoints, such as `gradient.weights`: the vectors at all checkpoints then become
    one, see `scorers.features`. Without it they are compared one after the other, as one long
    vector."""
    k: Annotated[int, Field(ge=1)] | Literal["sqrt", "gain"] = "sqrt"
    grid: tuple[Annotated[int, Field(ge=2)], ...] = GRID
    """The numbers that `k: gain` chooses from, rising, eight at most; never the last of them."""
    method: Method = "lloyd"
    """minibatch takes half the time or less with many clusters, and makes them less equal."""
    start: Start | None = None
    """How the training begins; by default random, but plusplus with `k: gain`."""
    balanced: bool = False
    """Clusters of near equal sizes."""
    iterations: int = Field(default=25, ge=1)
    sample: int | None = Field(default=None, ge=1)
    """How many rows train the centroids at most; by default 256 for each."""
    unit: bool = True
    """Set vectors (of each checkpoint) to length 1."""
    spherical: bool = False
    """Set the vectors that are clustered, and the centroids, to length 1."""
    seed: int | None = None

    @field_validator("of", "weights")
    @classmethod
    def _of_a_signal(cls, name: str | None) -> str | None:
        return signal_column(name)

    @field_validator("grid")
    @classmethod
    def _rising(cls, grid: tuple[int, ...]) -> tuple[int, ...]:
        return checked(grid)

    @model_validator(mode="after")
    def _enough_to_train(self) -> Self:
        most = self.grid[-1] if self.k == "gain" else self.k
        if self.sample is not None and most != "sqrt" and self.sample < most:
            raise ValueError(f"sample ({self.sample}) must be at least k ({most})")
        if self.spherical and self.method == "minibatch":
            raise ValueError("method minibatch has no spherical form; take lloyd, or leave it out")
        return self

    @property
    def reads(self) -> pa.Schema:
        """The vectors, their status, and the hash of the row that says whether it is drawn."""
        return pa.schema([ROWS.field("sample_id"), *self._features.reads])

    @property
    def adds(self) -> pa.Schema:
        """Cluster and distance, and why a row has none."""
        return pa.schema([(name, column_type(name)) for name in ("label", "distance", "status")])

    def identity(self) -> dict[str, Any]:
        """Return what makes the clusters, without settings that say nothing here."""
        idle = {
            "grid": self.k != "gain",
            "method": self.method == "lloyd",
            "start": self.start is None,
            "balanced": not self.balanced,
        }
        return {name: value for name, value in super().identity().items() if not idle.get(name)}

    @property
    def fits_pool(self) -> bool:
        """The centroids are the pool's."""
        return True

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table:
        """Return `centroid` and `size` (rows of the sample) of each cluster; reads the pool twice.

        With `balanced` also its `price`.

        Raises:
            DataError: more clusters than rows with a vector, vectors that fp32 cannot tell apart,
                or too many of both to balance.
            ContractError: vectors of different lengths.
        """
        from threadpoolctl import threadpool_limits  # comes with scikit-learn

        draws, numbers = self._draws(pool)
        n = len(draws)
        k = max(math.isqrt(n // 2), 1) if self.k == "sqrt" else self.k
        most = self.grid[-1] if k == "gain" else k
        if most > n:
            raise DataError(
                f"clusters of {self.of}: k is {most}, but {n} rows of the pool have a vector; take "
                f"a smaller k, or more rows"
            )
        size = min(max(self.sample or PER_CENTROID * most, most), n)
        vectors = self._sampled(pool, draws, np.empty((size, numbers), np.float32))
        self._check_lengths(vectors)
        with threadpool_limits(1):
            centroids = self._trained(vectors, k)
            return self._ordered(*self._balanced(vectors, centroids), vectors)

    def found(self) -> str:
        """Return how many clusters were chosen, or how well they are balanced."""
        if self._fitted is None or not (self.balanced or self.k == "gain"):
            return ""
        sizes = self._fitted["size"].to_pylist()
        if not self.balanced:
            return f"{len(sizes)} clusters"
        return (
            f"{len(sizes)} clusters of {min(sizes):,} to {max(sizes):,} of the {sum(sizes):,} rows "
            f"that trained them"
        )

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns.

        Raises:
            ValueError: nothing was fitted.
            ContractError: vectors of another length than the centroids.
        """
        from threadpoolctl import threadpool_limits  # comes with scikit-learn

        if self._fitted is None:
            raise ValueError("clusters need the centroids that `fit` finds in the pool")
        centroids = matrix(self._fitted["centroid"], "centroid")
        prices = self._fitted["price"].to_numpy() if self.balanced else None
        labels, distances = np.zeros(len(rows), np.int32), np.zeros(len(rows), np.float32)
        known = np.zeros(len(rows), dtype=bool)
        with threadpool_limits(1):
            for some, block in self._blocks(rows):
                known[some] = there(block)
                if prices is not None:  # as those that set the prices, to be dealt out alike
                    block = block.astype(np.float32).astype(np.float64)
                if known[some].any():
                    _check_length(self.of, block, centroids.shape[1])
                    labels[some], distances[some] = nearest(block, centroids, prices)
        status = np.array(self._features.status(rows).to_pylist(), dtype=object)
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

    @property
    def _training(self) -> Training:
        return Training(
            self.method,
            self.start or ("plusplus" if self.k == "gain" else "random"),
            self.iterations,
            self.seed or 0,
            self.spherical,
        )

    def _sampled(
        self, pool: Iterable[pa.Table], draws: np.ndarray, vectors: np.ndarray
    ) -> np.ndarray:
        """Fill in the vectors of the rows drawn first, in the order of their draws."""
        first = np.argsort(draws, kind="stable")[: len(vectors)]  # which of copies does not matter
        drawn = np.zeros(len(draws), dtype=bool)
        drawn[first] = True
        places = np.argsort(np.argsort(draws[drawn], kind="stable"), kind="stable")
        at, seen = 0, 0
        for table in pool:
            for _, block in self._blocks(table):
                usable = block[there(block)]
                chosen = usable[drawn[seen : seen + len(usable)]]
                vectors[places[at : at + len(chosen)]] = chosen
                seen, at = seen + len(usable), at + len(chosen)
        return vectors

    def _check_lengths(self, vectors: np.ndarray) -> None:
        """Raise for vectors so long or short that fp32 cannot tell how far they are apart."""
        longest = float(np.linalg.norm(vectors.astype(np.float64), axis=1).max())
        if not SHORTEST <= longest <= LONGEST:
            raise DataError(
                f"clusters of {self.of}: the longest vector has the length {longest:.3g}; take "
                f"vectors between {SHORTEST:g} and {LONGEST:g}, or unit: true"
            )

    def _trained(self, vectors: np.ndarray, k: int | Literal["gain"]) -> np.ndarray:
        training = self._training
        if k != "gain":
            return training.centroids(vectors, k)
        trained = {n: training.centroids(vectors, n) for n in (1, *self.grid)}
        left = {n: inertia(vectors, found) for n, found in trained.items()}
        return trained[best_of({n: left[n] / (left[1] or 1) for n in left}, self.of)]

    def _balanced(
        self, vectors: np.ndarray, centroids: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The centroids, and the price of each where they are to be balanced."""
        if not self.balanced:
            return centroids, None
        if len(vectors) * len(centroids) > LARGEST:
            raise DataError(
                f"clusters of {self.of}: {len(centroids):,} of them cannot be balanced on a sample "
                f"of {len(vectors):,} rows; take a sample of {LARGEST // len(centroids):,} at most"
            )
        return balance(vectors, centroids, self.spherical)

    def _ordered(
        self, centroids: np.ndarray, prices: np.ndarray | None, vectors: np.ndarray
    ) -> pa.Table:
        """The state: centroids in the order of their labels."""
        sizes, _ = members(vectors, centroids, prices)
        order = sorted(range(len(sizes)), key=lambda c: (-sizes[c], centroids[c].tolist()))
        offsets = pa.array(np.arange(len(order) + 1) * centroids.shape[1], pa.int32())
        flat = pa.array(centroids[order].ravel())
        centroid = pa.ListArray.from_arrays(offsets, flat)
        state = pa.table({"centroid": centroid, "size": pa.array(sizes[order])})
        return state if prices is None else state.append_column("price", pa.array(prices[order]))


def _check_length(column: str, vectors: np.ndarray, numbers: int) -> None:
    if vectors.shape[1] != numbers:
        raise ContractError(f"{column} has vectors of {vectors.shape[1]} and of {numbers} numbers")
