"""DS2: ratings of a judge, corrected by those of near rows, and how rare a row is.

Pang et al. 2025, arXiv 2410.10877. Ratings from 1 to 10 become classes, 4 and less the lowest and 9
and more the highest:

    class = clip(rating, low, high) - low

How the judge errs is read off neighbours (`scorers.transition`), which ratings look wrong likewise
(`scorers.label_errors`); one is replaced where the confidence in another is at least `confident`.

    score      the curated class; the selector `level_fill` takes whole classes, the highest first
    long_tail  2 / (1 + e^-d) - 1, rounded to 4 decimals, with d the mean distance (1 - cosine) to
               the `k` nearest rows, of which the row itself is one at distance 0
    rating     the class as rated
    suggested  the rating that near rows suggest most, other than its own
    confidence in it
    right      P(deserves its class | was given it), by the judge's matrix

Neighbours come from a `knn` block; of more than `k` it uses the nearest that are rated. A row
without a rating takes no part and has no score: the published code gives it a 0, which is a rating.
Rows with the same content are one row here; of different ratings of theirs the median counts (of
two the lower). The published code works on its rows twice: each then has its own rating as the
nearest neighbour.
"""

from collections.abc import Iterable
from typing import Self, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from ..errors import DataError
from .base import NUMBERED, Scorer, row_status
from .label_errors import Neighbourhood, Suggestions, detect, triples
from .random import bits
from .rated import NO_RATING, rating_numbers, rating_schema
from .signals import column_type
from .transition import counted, estimate, posterior

FEWEST = 20  # rated rows with two rated neighbours; less says nothing of a matrix
STATE = pa.schema(
    [
        ("score", pa.float32()),
        ("rating", pa.float32()),
        ("suggested", pa.float32()),
        ("confidence", pa.float32()),
        ("right", pa.float32()),
        ("long_tail", pa.float32()),
    ]
)


@final
class Ds2(Scorer):
    """The curated rating of a row; how rare the row is stands beside it."""

    rating: str = "judge.rating"
    """Of a rating block, or an input column such as `data.rating`."""
    graph: str = "knn"
    """A `knn` block."""
    low: int = 4
    """Ratings up to this are the lowest class."""
    high: int = 9
    """Ratings from this on are the highest."""
    k: int = Field(default=10, ge=3)
    """How many rows vote on a rating, the row itself one of them."""
    epochs: int = Field(default=51, ge=1, le=1000)
    """Rounds of votes."""
    share: float = Field(default=0.9, gt=0, le=1)
    """Of the rows in each round."""
    confident: float = Field(default=0.5, ge=0, le=1)
    """A rating is replaced where the confidence in another is at least this."""
    seed: int | None = None
    """Of the rounds."""

    @model_validator(mode="after")
    def _some_classes(self) -> Self:
        if not 1 <= self.high - self.low <= 20:
            raise ValueError(f"high must be 1 to 20 above low, not {self.low} and {self.high}")
        return self

    @property
    def undefined(self) -> str:
        """Why a row has no score."""
        return NO_RATING

    @property
    def reads(self) -> pa.Schema:
        """The rating, the graph, and the hash of the row."""
        columns = ("place", "neighbours", "similarity", "status")
        graph = [(f"{self.graph}.{column}", column_type(column)) for column in columns]
        ids = pa.field("sample_id", pa.string())
        return pa.schema([ids, *rating_schema(self.rating), *graph])

    @property
    def details(self) -> pa.Schema:
        """What the score comes from, and the long-tail score."""
        return pa.schema([field for field in STATE if field.name != "score"])

    @property
    def fits_pool(self) -> bool:
        """The judge's errors are read off all rows."""
        return True

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table:
        """Return everything of each row of the graph, by its place there.

        Raises:
            DataError: too few ratings near each other.
        """
        ids, places, hood = self._gathered(pool)
        near = triples(hood)
        if len(near) < FEWEST:
            raise DataError(
                f"ds2: {len(near)} rows have a rating in {self.rating} and two rated neighbours, "
                f"and it takes {FEWEST}; rate more rows, or give {self.graph} a larger k"
            )
        transition, prior = estimate(counted(near, self._classes))
        right = posterior(transition, prior).diagonal()
        found = detect(hood, right, bits(self.seed or 0, ids), self.k, self.epochs, self.share)
        at = np.full(int(places.max()) + 1, -1)
        at[places] = np.arange(len(places))
        return self._state(hood, found, right).take(pa.array(at, mask=at < 0))

    def found(self, fitted: pa.Table) -> str:
        """Return how many ratings were replaced, and which of the judge's can be trusted."""
        rated = fitted.filter(pc.is_valid(fitted["score"]))
        moved = pc.sum(pc.not_equal(rated["score"], rated["rating"])).as_py()
        pairs = sorted(set(zip(*(rated[n].to_pylist() for n in ("rating", "right")), strict=True)))
        shown = ", ".join(f"{rating + self.low:g} {right:.2f}" for rating, right in pairs)
        return f"{moved:,} of {len(rated):,} ratings replaced; how often each is right: {shown}"

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return the curated class of each row and what it comes from.

        Raises:
            ValueError: nothing was fitted.
        """
        if fitted is None:
            raise ValueError("ds2 needs what `fit` finds in the pool")
        return fitted.take(rows[f"{self.graph}.place"].combine_chunks())

    @property
    def _classes(self) -> int:
        return self.high - self.low + 1

    def _compressed(self, rows: pa.Table) -> np.ndarray:
        """The class of each row, -1 for one without a rating; halves go up."""
        numbers = np.floor(np.clip(rating_numbers(rows, self.rating), self.low, self.high) + 0.5)
        usable = np.asarray(pc.is_in(row_status(rows), pa.array(NUMBERED)))
        rated = usable & np.isfinite(numbers)
        return np.where(rated, np.where(rated, numbers, self.low) - self.low, -1).astype(np.int64)

    def _gathered(
        self, pool: Iterable[pa.Table]
    ) -> tuple[pa.ChunkedArray, np.ndarray, Neighbourhood]:
        """The hashes of the rows of the graph, their places, which rise, and their ratings."""
        names = ("place", "neighbours", "similarity")
        tables = []
        for rows in pool:
            own = rows.select(["sample_id", *(f"{self.graph}.{name}" for name in names)])
            own = own.rename_columns(["sample_id", *names])
            own = own.append_column("rating", pa.array(self._compressed(rows)))
            tables.append(own.filter(own["place"].is_valid()))
        table = pa.concat_tables(tables).combine_chunks()
        table = table.sort_by([("place", "ascending"), ("rating", "ascending")])
        places, ratings = table["place"].to_numpy(), table["rating"].to_numpy()
        first = np.flatnonzero(np.diff(places, prepend=-1))
        table, places = table.take(pa.array(first)), places[first]
        counts = np.asarray(pc.list_value_length(table["neighbours"]))
        there = np.arange(counts.max(initial=0)) < counts[:, None]
        near, cosines = np.full(there.shape, -1), np.zeros(there.shape, np.float32)
        others = table["neighbours"].combine_chunks().flatten().to_numpy()
        at = np.full(int(max(others.max(initial=-1), places.max(initial=-1))) + 1, -1)
        at[places] = np.arange(len(places))
        near[there] = at[others]  # of other rows than these, none
        cosines[there] = table["similarity"].combine_chunks().flatten().to_numpy()
        return table["sample_id"], places, Neighbourhood(_medians(ratings, first), near, cosines)

    def _state(self, hood: Neighbourhood, found: Suggestions, right: np.ndarray) -> pa.Table:
        rated = hood.ratings >= 0
        moved = rated & (found.suspect > 0.5) & (found.confidence >= self.confident)
        columns = {
            "score": np.where(moved, found.rating, hood.ratings),
            "rating": hood.ratings,
            "suggested": found.rating,
            "confidence": found.confidence,
            "right": right[np.maximum(hood.ratings, 0)],
        }
        arrays = {name: _float32(values, rated) for name, values in columns.items()}
        tail = long_tail(hood.cosines, hood.near >= 0, self.k)
        arrays["long_tail"] = _float32(tail, np.ones(len(tail), dtype=bool))
        return pa.table(arrays, schema=STATE)


def long_tail(cosines: np.ndarray, there: np.ndarray, k: int) -> np.ndarray:
    """Return how rare each row is, (rows,) from 0 on.

    Args:
        cosines: (rows, neighbours) with the nearest rows, the nearest first.
        there: (rows, neighbours) which of them there are.
        k: rows that count, the row itself one of them.
    """
    there = there & (np.cumsum(there, axis=1) < k)
    apart = np.where(there, 1 - cosines.astype(np.float64), 0).sum(1) / (there.sum(1) + 1)
    return np.asarray(np.round(2 / (1 + np.exp(-apart)) - 1, 4))


def _medians(ratings: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The lower median of the ratings of copies, which stand together and rise; -1 without any."""
    end = np.append(first[1:], len(ratings))
    none = np.add.reduceat(ratings < 0, first) if len(first) else first
    middle = first + none + (end - first - none - 1) // 2
    return np.asarray(ratings[np.minimum(np.maximum(middle, first), end - 1)])


def _float32(values: np.ndarray, there: np.ndarray) -> pa.Array:
    return pa.array(values.astype(np.float32), mask=~there)
