"""Clusters of the pool's rows as PASER makes them: diffusion coordinates, then a factorisation.

    label    the cluster, from 0: the largest first, equal ones by their smallest sample_id

He et al. 2025, arXiv 2502.12594: affinities of the rows' vectors give each row coordinates
(`scorers.diffusion`), and a non-negative factorisation of their similarities the clusters
(`scorers.factors`). A cluster may stay empty; there are then fewer labels than k.

mode      coordinates z                           products below 0     factorisation
paper     k after the trivial one, diffusion      count 0, see below   balanced, begins from
          time                                                         singular vectors
official  k with the trivial one, none            by their size        begins at random, by seed

form      affinities                                     similarities         points, in `auto`
exact     of all pairs                                   of all pairs         3,000 at most
sparse    of each point's `neighbours`, and the mean     on the edges of      more
          degree spread over all pairs                   that graph

Without the trivial coordinate |z_i . z_j| takes opposite clusters for one, where they are few; so
`signs` is `positive` unless `absolute` is asked for. On the edges of a graph both are much alike.

The published code is `exact` only, with several matrices of 8 n^2 bytes (21.6 GB each for 52,000
rows), and so is `official` here. The code's solver takes the random walk's Laplacian for symmetric;
here the eigenvalues are right. `sparse` is an approximation, which treats pairs that are no
neighbours as alike: plain clusters it finds as well, elsewhere it draws other borders, which more
neighbours bring nearer. Its memory grows with the points; its search compares all pairs.

`sigma: median` is the median of the whole distance matrix, the zeros of its diagonal included, as
published; `sparse` takes it of 2,048 points that the seed draws. `neighbours`: of the distances to
the nearest ones. `k: gain` chooses from `grid` by the rule of `scorers.gain`, with as many
coordinates as the grid's largest k for all; the labels are those that this k gives by itself.

Rows are visited by sample_id, and copies are one point; of their vectors, which may differ by
rounding, the first in the order of their numbers. So the labels depend on what the pool holds and
not on its order; nor on threads: the search for neighbours takes several, and `sparse` runs as many
factorisations of the grid at a time.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr, field_validator, model_validator
from scipy import sparse

from ...errors import ContractError, DataError
from ...scorers.base import NUMBERED
from ...scorers.diffusion import Spectrum, affinities, exact_spectrum, sparse_spectrum
from ...scorers.factors import Signs, balanced, errors_of, factorise, similarities
from ...scorers.features import Features, signal_column, there
from ...scorers.gain import GRID, best_of, checked
from ...scorers.random import bits
from ...scorers.signals import column_type
from ..base import ROWS, Stage
from ..points import Points, places_of

EXACT = 3_000
"""Points of the largest pool that `auto` does in full."""
MATRICES = 5
"""Of all pairs, that are there at once."""
SIGMA_SAMPLE = 2_048


@final
class Spectral(Stage):
    """PASER's clusters of the pool."""

    neutral: ClassVar[frozenset[str]] = frozenset({"memory_mb"})

    of: str
    """The column of vectors by full name, such as `base.embedding`."""
    weights: str | None = None
    """Of the checkpoints, where the vectors are gradients: see `scorers.features`."""
    unit: bool = True
    """Set vectors (of each checkpoint) to length 1."""
    mode: Literal["paper", "official"] = "paper"
    k: Annotated[int, Field(ge=2)] | Literal["gain"] = 10
    """How many clusters; 10 is published."""
    grid: tuple[Annotated[int, Field(ge=2)], ...] = GRID
    """The numbers that `k: gain` chooses from, rising, eight at most; never the last of them."""
    sigma: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["median", "neighbours"] = (
        "median"
    )
    """Width of the kernel."""
    time: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Diffusion time; by default 0.5, in `sparse` 3: its eigenvalues lie closer together."""
    signs: Signs = "positive"
    """What becomes of z_i . z_j below 0: `absolute` |z_i . z_j|, `positive` 0."""
    form: Literal["auto", "exact", "sparse"] = "auto"
    neighbours: int = Field(default=30, ge=1)
    """Of each point in the graph, and for `sigma: neighbours`."""
    seed: int | None = None
    memory_mb: int = Field(default=4096, ge=1)
    """For the matrices of `exact`; changes no result."""

    _threads: int = PrivateAttr(default=1)

    @field_validator("of", "weights")
    @classmethod
    def _of_a_signal(cls, name: str | None) -> str | None:
        return signal_column(name)

    @field_validator("grid")
    @classmethod
    def _rising(cls, grid: tuple[int, ...]) -> tuple[int, ...]:
        return checked(grid)

    @model_validator(mode="after")
    def _official_is_exact(self) -> Self:
        if self.mode == "official" and (self.time is not None or self.form == "sparse"):
            raise ValueError(
                "mode official has no diffusion time and no sparse form; leave both out"
            )
        return self

    @property
    def reads(self) -> pa.Schema:
        """The vectors, their status, and the hash of the row."""
        return pa.schema([ROWS.field("sample_id"), *self._features.reads])

    @property
    def adds(self) -> pa.Schema:
        """Cluster, and why a row has none."""
        return pa.schema([(name, column_type(name)) for name in ("label", "status")])

    @property
    def fits_pool(self) -> bool:
        """The clusters are the pool's."""
        return True

    def use_threads(self, threads: int) -> None:
        """Let the search and the choice of k use so many threads."""
        self._threads = threads

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table:
        """Return `sample_id` and `label` of each distinct row with a vector.

        Raises:
            DataError: more clusters than such rows allow, more rows than `memory_mb` allows, or a
                sigma of 0.
            ContractError: vectors of different lengths.
        """
        from threadpoolctl import threadpool_limits  # comes with scikit-learn

        points = Points(self._features)
        placed = points.placed(pool)
        ids, vectors = placed.ids, points.gathered(pool, placed)
        most = self.k if self.k != "gain" else self.grid[-1]
        if len(ids) < most + 2:
            raise DataError(
                f"spectral clusters of {self.of}: k is {most}, and needs {most + 2} distinct rows "
                f"with a vector, but the pool has {len(ids)}; take a smaller k, or more rows"
            )
        with threadpool_limits(1):  # with more, last digits would depend on how many
            labels = self._labels(ids, vectors, most)
        return pa.table({"sample_id": ids, "label": _by_size(labels)})

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns.

        Raises:
            ValueError: nothing was fitted.
            ContractError: rows with a vector that the fitted pool did not hold.
        """
        if self._fitted is None:
            raise ValueError("spectral clusters need the labels that `fit` finds in the pool")
        known = np.zeros(len(rows), dtype=bool)
        for some, block in self._features.blocks(rows):
            known[some] = there(block)
        places = places_of(rows["sample_id"], self._fitted["sample_id"].combine_chunks())
        if (places[known] < 0).any():
            raise ContractError(f"{self.of}: a row was not in the pool that the clusters are of")
        status = np.array(self._features.status(rows).to_pylist(), dtype=object)
        status[np.isin(status, NUMBERED) & ~known] = "no_vector"
        columns = {
            "label": self._fitted["label"].combine_chunks().take(pa.array(places, mask=~known)),
            "status": pa.array(status, pa.string()),
        }
        return pa.table({name: columns[name] for name in wanted})

    @property
    def _features(self) -> Features:
        return Features(self.of, self.weights, self.unit)

    def _labels(self, ids: pa.Array, vectors: np.ndarray, most: int) -> np.ndarray:
        official, seed = self.mode == "official", (self.seed or 0) % (1 << 31)
        exact = official or self.form == "exact" or (self.form == "auto" and len(ids) <= EXACT)
        spectrum, edges = self._exact(vectors, most) if exact else self._sparse(ids, vectors, most)
        time = (0.5 if exact else 3.0) if self.time is None else self.time
        time = 0.0 if official else time

        def similar(n: int) -> np.ndarray | sparse.csr_array:
            z = spectrum.coordinates(n, time, trivial=official)
            if official:
                return similarities(z, edges)
            return balanced(similarities(z, edges, self.signs))

        k = self.k
        if k == "gain":
            at_once = 1 if exact else self._threads  # whole matrices are counted once
            k = best_of(errors_of(similar(most), self.grid, seed, at_once), self.of)
        return factorise(similar(k), k, seed, "random" if official else "nndsvda").labels

    def _exact(self, vectors: np.ndarray, most: int) -> tuple[Spectrum, None]:
        from scipy.spatial.distance import cdist

        needed = -(-MATRICES * 8 * len(vectors) ** 2 >> 20)
        if needed > self.memory_mb:
            raise DataError(
                f"spectral clusters of {self.of}: all pairs of {len(vectors):,} rows take "
                f"{needed:,} MB, and memory_mb is {self.memory_mb:,}; set memory_mb to {needed} or "
                f"more, or take mode paper in the form sparse"
            )
        distances = cdist(vectors, vectors)
        near = None
        if self.sigma == "neighbours":
            near = np.sort(distances, axis=1)[:, 1 : self.neighbours + 1]
        sigma = self._width(distances, near)
        return exact_spectrum(affinities(distances, sigma), most + 1), None

    def _sparse(
        self, ids: pa.Array, vectors: np.ndarray, most: int
    ) -> tuple[Spectrum, sparse.csr_array]:
        from scipy.sparse.linalg import ArpackNoConvergence
        from scipy.spatial.distance import cdist

        from ..edges import graph, nearest

        places, near = nearest(vectors, min(self.neighbours, len(vectors) - 1), self._threads)
        drawn = np.argsort(bits(self.seed or 0, ids), kind="stable")[:SIGMA_SAMPLE]
        sample = vectors[np.sort(drawn)]
        sigma = self._width(cdist(sample, sample), near)
        edges = graph(places, affinities(near, sigma))
        degree = float(edges.sum()) / len(vectors)
        try:
            return sparse_spectrum(edges, most + 1, degree, (self.seed or 0) % (1 << 31)), edges
        except ArpackNoConvergence as error:
            raise DataError(
                f"spectral clusters of {self.of}: the eigenvectors of the neighbour graph were not "
                f"found ({error}); take more neighbours than {self.neighbours}"
            ) from error

    def _width(self, distances: np.ndarray, near: np.ndarray | None) -> float:
        if not isinstance(self.sigma, str):
            return self.sigma
        sigma = float(np.median(distances if self.sigma == "median" or near is None else near))
        if sigma == 0:
            raise DataError(
                f"spectral clusters of {self.of}: sigma ({self.sigma}) is 0, as most of these rows "
                f"have the same vector; give sigma a number"
            )
        return sigma


def _by_size(labels: np.ndarray) -> pa.Array:
    """Labels from 0, the largest cluster first, equal ones by their first point."""
    each, first, member, sizes = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    place = np.empty(len(each), np.int32)
    place[np.lexsort((first, -sizes))] = np.arange(len(each), dtype=np.int32)
    return pa.array(place[member])
