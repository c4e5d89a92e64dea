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
clear of the number of threads: `stages.nearest`.

Vectors without structure, which spread evenly in all their directions, need about an eighth of all
pairs for a recall of 0.95; those of a model much less.

Memory of `fit`: the vectors as fp32, and with lists those that a list is compared with once more,
at most as many, which is refused beyond `memory_mb`; beside them about 8 k + 100 bytes per row,
most of it hashes. Workers hold 8 k + 40 bytes per row.
"""

import logging
import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Literal, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, PrivateAttr, field_validator

from ...errors import ContractError, DataError
from ...scorers.base import NUMBERED
from ...scorers.features import Features, signal_column, there
from ...scorers.matrices import unit
from ...scorers.random import bits
from ...scorers.signals import column_type
from ..base import ROWS, Stage
from ..lists import in_lists, lists_for, nearest_in_lists
from ..nearest import Found, nearest_of_all, recall_of

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

    version: ClassVar[int] = 2
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
        ids, places, numbers = self._placed(pool)
        lists = self.index == "ivf" or (self.index == "auto" and len(ids) > EXACT_ROWS)
        self._check_memory(len(ids), numbers, lists)
        vectors = self._gathered(pool, places, len(ids), numbers)
        if not len(ids):
            return STATE.empty_table()
        share = 1.0
        if lists:
            found, share = self._by_lists(vectors, ids)
        else:
            found = nearest_of_all(vectors, np.arange(len(ids)), self.k, self._threads)
        return _state(ids, found, share)

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
        ids = _in_one(self._fitted["sample_id"])
        places = np.array([_place(ids, row.as_py()) for row in rows["sample_id"]], np.int32)
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

    def _blocks(self, rows: pa.Table) -> Iterator[tuple[pa.Array, np.ndarray]]:
        """Ids and unit vectors of the rows that have one, a few at a time."""
        for some, block in self._features.blocks(rows):
            vectors = unit(block)
            known = there(vectors)
            if known.any():
                ids = rows["sample_id"].slice(some.start, some.stop - some.start)
                yield ids.filter(pa.array(known)), vectors[known]

    def _placed(self, pool: Iterable[pa.Table]) -> tuple[pa.Array, np.ndarray, int]:
        """The distinct ids in order, the place of each row in the order read, and the numbers."""
        chunks, numbers = [pa.array([], pa.string())], 0
        for table in pool:
            for ids, block in self._blocks(table):
                numbers = numbers or block.shape[1]
                if block.shape[1] != numbers:
                    raise ContractError(
                        f"{self.of} has vectors of {block.shape[1]} and of {numbers} numbers"
                    )
                chunks += ids.chunks
        coded = pa.chunked_array(chunks).combine_chunks().dictionary_encode()
        order = np.asarray(pc.sort_indices(coded.dictionary), dtype=np.int64)
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order))
        return coded.dictionary.take(pa.array(order)), rank[np.asarray(coded.indices)], numbers

    def _check_memory(self, n: int, numbers: int, lists: bool) -> None:
        needed = -(-n * numbers * FP32 * (2 if lists else 1) >> 20)
        if needed > self.memory_mb:
            twice = ", of which the search through lists holds many a second time," if lists else ""
            raise DataError(
                f"knn of {self.of}: the vectors of {n:,} distinct rows of {numbers:,} numbers"
                f"{twice} take {needed:,} MB, and memory_mb is {self.memory_mb}; set memory_mb to "
                f"{needed} or more, or take fewer rows or shorter vectors"
            )

    def _gathered(
        self, pool: Iterable[pa.Table], places: np.ndarray, n: int, numbers: int
    ) -> np.ndarray:
        """The vector of each place, (n, numbers) fp32.

        Vectors of copies of a row can differ by rounding; the first in the order of their numbers
        is taken.
        """
        vectors = np.full((n, numbers), np.inf, np.float32)
        single, at = np.bincount(places, minlength=n) == 1, 0
        for table in pool:
            for _, block in self._blocks(table):
                to, at = places[at : at + len(block)], at + len(block)
                alone = single[to]
                vectors[to[alone]] = block[alone]
                for place, vector in zip(to[~alone], block[~alone].astype(np.float32), strict=True):
                    if vector.tolist() < vectors[place].tolist():
                        vectors[place] = vector
        return vectors

    def _by_lists(self, vectors: np.ndarray, ids: pa.Array) -> tuple[Found, float]:
        """The graph by lists, and its recall on rows that the seed draws."""
        n, seed = len(vectors), self.seed or 0
        drawn = np.argsort(bits(seed, ids), kind="stable")[: 2 * self.sample]
        exact = nearest_of_all(vectors, drawn, self.k, self._threads)
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


def _place(ids: pa.Array, row: str) -> int:
    """Where a row stands among the sorted ids, -1 if it is not there."""
    place = bisect_left(ids, row, key=lambda one: one.as_py())
    return place if place < len(ids) and ids[place].as_py() == row else -1


def _in_one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
