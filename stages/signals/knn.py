"""The neighbour graph of the pool: the rows that lie nearest to each row by their vectors.

    place       of the row among the distinct rows with a vector, in the order of sample_id, from 0
    neighbours  places of the k nearest rows by cosine, the nearest first; never the row itself
    similarity  their cosines

Rows with the same content have one place: the graph knows nothing of where a row stands or how
often it is there. Of equal cosines the smaller place comes first. With fewer than k other rows all
of them are neighbours.

`index: exact` compares all pairs. `ivf` puts the rows into 2 sqrt(n) lists and compares those of a
list with the rows of as many lists near it as hold `recall` of the true neighbours, or of `probes`
lists (`stages.lists`). How many these are is read off `sample` rows, drawn by a hash of seed and
content; the share of the true neighbours that were found is measured on as many others, and said
when the graph is there. `auto` takes `exact` up to 100,000 distinct rows. How the search keeps
clear of the number of threads: `stages.nearest`. Rows with the same vector are looked for as one
(`stages.copies`), and count as one in lists and sample.

Vectors without structure, which spread evenly in all their directions, need about an eighth of all
pairs for a recall of 0.95; those of a model much less.

Memory of `fit`: the vectors as fp32, and with lists those that a list is compared with once more,
at most as many, which is refused beyond `memory_mb`; beside them about 8 k + 100 bytes per row,
most of it hashes. Workers hold 8 k + 40 bytes per row.
"""

import logging
import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, PrivateAttr, field_validator

from ...errors import DataError
from ...scorers.base import NUMBERED
from ...scorers.features import Features, signal_column
from ...scorers.random import bits
from ...scorers.signals import column_type
from ..base import ROWS, Stage
from ..copies import Copies
from ..lists import in_lists, lists_for, nearest_in_lists
from ..measures import Cosine
from ..nearest import Found, nearest_of_all, recall_of
from ..points import Points, places_of

log = logging.getLogger(__name__)

EXACT_ROWS = 100_000
"""`auto` compares all pairs of so many distinct rows at most."""
FP32 = 4  # bytes
LISTS = ("neighbours", "similarity")
STATE = pa.schema(
    [
        ROWS.field("sample_id"),
        *((name, column_type(name)) for name in LISTS),
        ("recall", pa.float32()),  # the same in every row
    ]
)


@final
class Knn(Stage):
    """The nearest rows of each row, in the whole pool."""

    version: ClassVar[int] = 3
    neutral: ClassVar[frozenset[str]] = frozenset({"memory_mb"})

    of: str
    """The column of vectors by full name, such as `base.embedding` or `gradient.adam`."""
    weights: str | None = None
    """Of the checkpoints, such as `gradient.weights`: see `clusters`."""
    k: int = Field(default=16, ge=1)
    index: Literal["auto", "exact", "ivf"] = "auto"
    recall: float = Field(default=0.95, gt=0, le=1)
    """The share of the true neighbours that lists are to find."""
    probes: int | None = Field(default=None, ge=1)
    """How many lists are looked through, of 2 sqrt(n), whatever they find."""
    sample: int = Field(default=1000, ge=1)
    """How many rows choose the number of lists, and how many others the recall is measured on."""
    seed: int | None = None
    memory_mb: int = Field(default=4096, ge=1)
    """For the vectors; changes no result."""

    _threads: int = PrivateAttr(default=1)

    @field_validator("of", "weights")
    @classmethod
    def _of_a_signal(cls, name: str | None) -> str | None:
        return signal_column(name)

    def identity(self) -> dict[str, Any]:
        """Return what makes the graph, without settings that say nothing here."""
        exact = self.index == "exact"
        idle = {
            "seed": exact,
            "sample": exact,
            "probes": exact or self.probes is None,
            "recall": exact or self.probes is not None,
        }
        return {name: value for name, value in super().identity().items() if not idle.get(name)}

    @property
    def reads(self) -> pa.Schema:
        """The vectors, their status, and the hash of the row."""
        return pa.schema([ROWS.field("sample_id"), *self._features.reads])

    @property
    def adds(self) -> pa.Schema:
        """Place, neighbours and similarities, and why a row has none."""
        return pa.schema([(name, column_type(name)) for name in ("place", *LISTS, "status")])

    @property
    def fits_pool(self) -> bool:
        """The neighbours are the pool's."""
        return True

    def use_threads(self, threads: int) -> None:
        """Let the search use so many threads."""
        self._threads = threads

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table:
        """Return the distinct rows in the order of their places, and the graph; reads twice.

        Raises:
            DataError: more vectors than `memory_mb` holds.
            ContractError: vectors of different lengths.
        """
        points = Points(self._features, unit=True)
        placed = points.placed(pool)
        ids = placed.ids
        lists = self.index == "ivf" or (self.index == "auto" and len(ids) > EXACT_ROWS)
        self._check_memory(len(ids), placed.numbers, lists)
        vectors = points.gathered(pool, placed)
        if not len(ids):
            return STATE.empty_table()
        copies, share = Copies.of(vectors), 1.0
        vectors = copies.without(vectors)
        if lists:
            found, share = self._by_lists(vectors, ids.take(pa.array(copies.first)))
        else:
            every = np.arange(len(vectors))
            found = nearest_of_all(Cosine.of(vectors), every, self.k, self._threads)
        return _state(ids, copies.spread(found, 1.0), share)

    def found(self) -> str:
        """Return how many rows the graph has, and how good it is."""
        if self._fitted is None or not len(self._fitted):
            return ""
        share = self._fitted["recall"][0].as_py()
        return f"{len(self._fitted):,} distinct rows, recall {share:.4f}"

    def fitted_with(self, state: pa.Table | None) -> Self:
        """Return this stage with the graph, each column in one piece, where `run` finds rows."""
        return super().fitted_with(None if state is None else state.combine_chunks())

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns.

        Raises:
            ValueError: nothing was fitted.
        """
        if self._fitted is None:
            raise ValueError("knn needs the graph that `fit` finds in the pool")
        status = np.array(self._features.status(rows).to_pylist(), dtype=object)
        numbered = np.isin(status, NUMBERED)
        places = places_of(rows["sample_id"], _in_one(self._fitted["sample_id"]))
        known = numbered & (places >= 0)
        status[numbered & ~known] = "no_vector"
        place = pa.array(places, mask=~known)
        columns = {
            "place": place,
            "status": pa.array(status, pa.string()),
            **{name: _in_one(self._fitted[name]).take(place) for name in LISTS if name in wanted},
        }
        return pa.table({name: columns[name] for name in wanted})

    @property
    def _features(self) -> Features:
        return Features(self.of, self.weights)

    def _check_memory(self, n: int, numbers: int, lists: bool) -> None:
        needed = -(-n * numbers * FP32 * (2 if lists else 1) >> 20)
        if needed > self.memory_mb:
            twice = ", of which the search through lists holds many a second time," if lists else ""
            raise DataError(
                f"knn of {self.of}: the vectors of {n:,} distinct rows of {numbers:,} numbers"
                f"{twice} take {needed:,} MB, and memory_mb is {self.memory_mb}; set memory_mb to "
                f"{needed} or more, or take fewer rows or shorter vectors"
            )

    def _by_lists(self, vectors: np.ndarray, ids: pa.Array) -> tuple[Found, float]:
        """The graph by lists, and its recall on vectors that the seed draws."""
        n, seed = len(vectors), self.seed or 0
        drawn = np.argsort(bits(seed, ids), kind="stable")[: 2 * self.sample]
        exact = nearest_of_all(Cosine.of(vectors), drawn, self.k, self._threads)
        choose, measure = slice(1, None, 2), slice(0, None, 2)
        lists = in_lists(vectors, min(2 * math.isqrt(n), n), seed)
        probes = self.probes or lists_for(lists, drawn[choose], exact.of(choose), self.recall)
        found = nearest_in_lists(vectors, lists, self.k, probes, self._threads)
        share = recall_of(found.of(drawn[measure]), exact.of(measure))
        log.info(
            "knn of %s: recall %.4f on %d rows, %d of %d lists",
            self.of,
            share,
            len(drawn[measure]),
            min(probes, len(lists.members)),
            len(lists.members),
        )
        return found, share


def _state(ids: pa.Array, found: Found, share: float) -> pa.Table:
    there = found.places >= 0
    offsets = pa.array(np.concatenate([[0], np.cumsum(there.sum(1))]), pa.int32())
    columns = [
        ids,
        pa.ListArray.from_arrays(offsets, pa.array(found.places[there])),
        pa.ListArray.from_arrays(offsets, pa.array(found.similarity[there])),
        pa.array(np.full(len(ids), share, np.float32)),
    ]
    return pa.table(columns, schema=STATE)


def _in_one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
