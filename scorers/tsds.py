"""TSDS: the share of a target's mass that each row takes, near-duplicates sharing one row's.

    score(x) = log of the mass that the examples of the target assign to x

The mass of each example goes to its nearest rows, to so many that likeness and spread balance
(`scorers.assignment`), and a row with near-duplicates takes less, so that together they take about
as much as one. A row that no example reaches has no score (`not_reached`). Source: Liu et al. 2024,
arXiv 2410.11303, and its code (ZifanL/TSDS). That draws rows with replacement in proportion to
their mass (the selector `sample` with `replacement`); without it, or with `top_k`, rows are
distinct.

Distances are Euclidean between unit vectors, 0 to 2, and exact; the code looks for neighbours in an
inverted file. As there, neither number of neighbours is more than a tenth of the pool.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from .assignment import assigned, densities_of
from .examples import OfExamples, check_length, example_vectors
from .features import ROWS_AT_ONCE, there

STATE = pa.schema([("sample_id", pa.string()), ("mass", pa.float64())])
NO_ID = np.zeros(0, dtype="S32")
LEAST = 2  # neighbours, where a tenth of the pool is less


@final
class Tsds(OfExamples):
    """Log of a row's expected share of a sample that is like the target."""

    alpha: float = Field(default=0.5, ge=0, le=1)
    """0: the mass is spread over all neighbours; 1: it goes to the nearest."""
    c: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    """Scale of the distances against the spread."""
    sigma: float = Field(default=0.75, ge=0, allow_inf_nan=False)
    """Distance up to which rows are near-duplicates; 0: none are."""
    kde_k: int = Field(default=1000, ge=1)
    """Neighbours that count as near-duplicates at most."""
    max_k: int = Field(default=5000, ge=1)
    """Nearest rows that an example can give mass to."""

    @property
    def undefined(self) -> str:
        """Why a row with a vector has no score."""
        return "not_reached"

    @property
    def details(self) -> pa.Schema:
        """The mass itself, in shares of all."""
        return pa.schema([("mass", pa.float64())])

    def fit_to_targets(self, pool: Iterable[pa.Table], targets: Mapping[str, pa.Table]) -> pa.Table:
        """Return the mass of the rows that have one; reads the pool three times.

        Rows with the same content count as one, and share its mass.

        Raises:
            DataError: a row of a target has no vector.
            ContractError: vectors of different lengths.
        """
        examples = example_vectors(targets, self.targets, self.features)
        found = [ids for ids, _ in self._blocks(pool, examples)]
        ids, copies = np.unique(np.concatenate([NO_ID, *found]), return_counts=True)
        if not len(ids):
            return STATE.empty_table()
        rows = _Rows(ids, copies > 1, examples.shape[1])
        tenth = max(len(ids) // 10, LEAST)
        k = min(self.max_k, tenth, len(ids))
        place, distances = _nearest(rows.read(self._blocks(pool, examples)), examples, k)
        reached, line = np.unique(place, return_inverse=True)
        vectors = np.empty((len(reached), examples.shape[1]))
        for where, block in rows.read(self._blocks(pool, examples)):
            own = np.isin(where, reached)
            vectors[np.searchsorted(reached, where[own])] = block[own]
        densities = densities_of(vectors, self.sigma, min(self.kde_k, tenth))
        mass = assigned(distances, densities[line.reshape(place.shape)], self.alpha, self.c)
        whole = np.bincount(line.ravel(), weights=mass.ravel()) / copies[reached]
        names = [name.decode() for name in ids[reached[whole > 0]].tolist()]
        return pa.table([pa.array(names, pa.string()), pa.array(whole[whole > 0])], schema=STATE)

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return the log of the mass and the mass.

        Raises:
            ValueError: nothing was fitted.
        """
        if fitted is None:
            raise ValueError("tsds needs the masses that `fit_to_targets` finds")
        places = pc.index_in(rows["sample_id"], value_set=fitted["sample_id"].combine_chunks())
        mass = fitted["mass"].take(places).combine_chunks()
        return pa.table({"score": pc.ln(mass), "mass": mass})

    def _blocks(
        self, pool: Iterable[pa.Table], examples: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids and vectors of the rows that have one, a few at a time."""
        for rows in pool:
            ids = rows["sample_id"].to_numpy().astype("S")
            for some, block in self.features.blocks(rows):
                known = there(block)
                if known.any():
                    check_length(block, examples, self.features.of)
                    yield ids[some][known], block[known]


@dataclass(frozen=True)
class _Rows:
    """The distinct rows, and how they are read one by one whatever order they stand in.

    Attributes:
        ids: (rows,) sorted.
        copied: (rows,) whether there are several; of their vectors, which may differ by rounding,
            the first in the order of their bytes counts.
        numbers: of a vector.
    """

    ids: np.ndarray
    copied: np.ndarray
    numbers: int

    def read(
        self, blocks: Iterable[tuple[np.ndarray, np.ndarray]]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield each distinct row's place and vector once; those with copies come last."""
        first: dict[int, bytes] = {}
        for ids, vectors in blocks:
            place = np.searchsorted(self.ids, ids)
            copied = self.copied[place]
            for one, vector in zip(place[copied].tolist(), vectors[copied], strict=True):
                other = vector.tobytes()
                first[one] = min(first.get(one, other), other)
            yield place[~copied], vectors[~copied]
        places = np.array(list(first), dtype=np.int64)
        for start in range(0, len(places), ROWS_AT_ONCE):
            own = places[start : start + ROWS_AT_ONCE]
            joined = b"".join(first[one] for one in own.tolist())
            yield own, np.frombuffer(joined, np.float64).reshape(-1, self.numbers)


def _nearest(
    blocks: Iterable[tuple[np.ndarray, np.ndarray]], examples: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The places of the k rows nearest to each example, and their distances, both (examples, k).

    A squared distance, as the bits of a float, and a place make one number, whose order is that of
    both; so equal distances have an order.
    """
    kept = np.full((len(examples), k), np.iinfo(np.uint64).max, np.uint64)
    waiting: list[np.ndarray] = []
    squares = np.square(examples).sum(1)

    def settle() -> np.ndarray:
        found = np.concatenate([kept, *waiting], axis=1)
        waiting.clear()
        return np.partition(found, k - 1, axis=1)[:, :k]

    for place, vectors in blocks:
        apart = squares[:, None] + np.square(vectors).sum(1) - 2 * examples @ vectors.T
        exact = np.round(np.maximum(apart, 0), 9)  # 0 between equals, however they are batched
        bits = exact.astype(np.float32).view(np.uint32).astype(np.uint64)
        waiting.append((bits << np.uint64(32)) | place.astype(np.uint64))
        if sum(block.shape[1] for block in waiting) >= max(k, 4 * ROWS_AT_ONCE):
            kept = settle()
    kept = np.sort(settle(), axis=1)
    distances = (kept >> np.uint64(32)).astype(np.uint32).view(np.float32).astype(np.float64)
    return (kept & np.uint64(0xFFFFFFFF)).astype(np.int64), np.sqrt(distances)
