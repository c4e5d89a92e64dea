"""Clusters of the pool's rows as PASER makes them: diffusion coordinates, then a factorisation.

    label    the cluster, from 0: the largest first, equal ones by their smallest sample_id

He et al. 2025, arXiv 2502.12594: affinities of the rows' vectors give each row coordinates
(`scorers.diffusion`), and a non-negative factorisation of their similarities the clusters
(`scorers.factors`). A cluster may stay empty; there are then fewer labels than k.

mode      coordinates z                           products below 0     factorisation
paper     k after the trivial one, diffusion      count 0, see below   balanced, begins from
          time                                                         singular vectors
official  k with the trivial one, none            by their size        begins at random, by seed

form        affinities and similarities (`stages.manifold`)               in `auto`
exact       of all pairs                                                 up to 5,000 points
landmarks   of all points with 2,048 drawn ones, which stand for all     more points
sparse      of each point's `neighbours`, on the edges of their graph    never

Without the trivial coordinate |z_i . z_j| takes opposite clusters for one, where they are few; so
`signs` is `positive` unless `absolute` is asked for. On the edges of a graph both are much alike.

The published code is `exact` only, with several matrices of 8 n^2 bytes (21.6 GB each for 52,000
rows), and so is `official` here. The code's solver takes the random walk's Laplacian for symmetric;
here the eigenvalues are right. `landmarks` finds the same coordinates in memory that grows with n,
and clusters as near to those of `exact` as these come to themselves when a tenth of the rows is
left out: adjusted Rand indices of 0.97 beside 0.96 for embeddings of Alpaca (2,997 rows), 0.82 to
0.85 beside 0.80 for those of the embedded pool (4,306); what differs is in which minimum the
factorisation ends. `sparse` takes pairs that are no neighbours for alike: where there are plain
clusters it finds them, other vectors it cuts elsewhere (0.53 and 0.44; with 100 neighbours 0.63 and
0.61), on the second also by the seed.

`sigma: median` is the median of the whole distance matrix, the zeros of its diagonal included, as
published; `neighbours`: of the distances to the nearest ones. Beyond `exact` it is that of 2,048
points that the seed draws, but in `sparse` that of the distances to all neighbours. `k: gain`
chooses from `grid` by the rule of `scorers.gain`, with as many coordinates as the grid's largest k
for all; the labels are those that this k gives by itself.

Rows are visited by sample_id, and copies are one point (`stages.points`). So the labels depend on
what the pool holds and not on its order; nor on threads: the search for neighbours takes several,
and `sparse` runs as many factorisations of the grid at a time.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr, field_validator, model_validator

from ...errors import ContractError, DataError
from ...scorers.base import NUMBERED
from ...scorers.factors import Signs, Similarity, balanced, errors_of, factorise, similarities
from ...scorers.features import Features, signal_column, there
from ...scorers.gain import GRID, best_of, checked
from ...scorers.random import bits
from ...scorers.signals import column_type
from ..base import ROWS, Stage
from ..manifold import Manifold, Mapped
from ..points import Points, places_of

log = logging.getLogger(__name__)

Form = Literal["exact", "landmarks", "sparse"]

EXACT = 5_000
"""Points of the largest pool that `auto` does in full."""


@final
class Spectral(Stage):
    """PASER's clusters of the pool."""

    version: ClassVar[int] = 2
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
    form: Literal["auto"] | Form = "auto"
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
        plain = self.time is None and self.form in ("auto", "exact")
        if self.mode == "official" and not plain:
            raise ValueError(
                "mode official has no diffusion time, and exact as its only form; leave both out"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """Return what makes the clusters, without settings that say nothing here."""
        official = self.mode == "official"
        idle = {
            "grid": self.k != "gain",
            "form": official,
            "signs": official,
            "neighbours": self.sigma != "neighbours" and self.form != "sparse",
        }
        return {name: value for name, value in super().identity().items() if not idle.get(name)}

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

    def found(self) -> str:
        """Return how many clusters there are, how large, and by which form."""
        if self._fitted is None:
            return ""
        sizes = np.bincount(self._fitted["label"].to_numpy())
        return (
            f"{len(sizes)} clusters of {sizes.min():,} to {sizes.max():,} of {sizes.sum():,} "
            f"distinct rows, form {self._form(len(self._fitted))}"
        )

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

    def _form(self, points: int) -> Form:
        if self.mode == "official":
            return "exact"
        if self.form == "auto":
            return "exact" if points <= EXACT else "landmarks"
        return self.form

    def _labels(self, ids: pa.Array, vectors: np.ndarray, most: int) -> np.ndarray:
        form, official = self._form(len(ids)), self.mode == "official"
        order = np.arange(len(ids))
        if form != "exact":
            order = np.argsort(bits(self.seed or 0, ids), kind="stable")
        mapped = self._mapped(form, vectors[order], most)
        time = (3.0 if form == "sparse" else 0.5) if self.time is None else self.time
        seed, time = (self.seed or 0) % (1 << 31), 0.0 if official else time

        def similar(n: int) -> Similarity:
            z = mapped.spectrum.coordinates(n, time, trivial=official)
            if official:
                return similarities(z)
            return balanced(similarities(z, mapped.edges, self.signs, mapped.columns))

        k = self.k
        if k == "gain":
            at_once = self._threads if form == "sparse" else 1  # whole matrices are counted once
            k = best_of(errors_of(similar(most), self.grid, seed, at_once), self.of)
        found = factorise(similar(k), k, seed, "random" if official else "nndsvda")
        alone = int((found.weights.max(1) == 0).sum())
        if alone:
            log.warning(
                "%s: %d rows are similar to nobody, and in the first cluster", self.of, alone
            )
        labels = np.empty(len(ids), np.int64)
        labels[order] = found.labels
        return labels

    def _mapped(self, form: Form, vectors: np.ndarray, most: int) -> Mapped:
        manifold = Manifold(
            f"spectral clusters of {self.of}",
            self.sigma,
            self.neighbours,
            (self.seed or 0) % (1 << 31),
            self.memory_mb,
            self._threads,
        )
        ways = {
            "exact": manifold.exact,
            "landmarks": manifold.by_landmarks,
            "sparse": manifold.by_graph,
        }
        return ways[form](vectors, most)


def _by_size(labels: np.ndarray) -> pa.Array:
    """Labels from 0, the largest cluster first, equal ones by their first point."""
    each, first, member, sizes = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    place = np.empty(len(each), np.int32)
    place[np.lexsort((first, -sizes))] = np.arange(len(each), dtype=np.int32)
    return pa.array(place[member])
