"""The distinct rows of a pool that have a vector, and the vector of each: what graphs are made of.

A row's place is where it stands among them by sample_id, from 0. Rows with the same content have
one place; of their vectors, which may differ by rounding, the first in the order of their numbers
is taken. So nothing depends on the order of the pool, nor on how often a row is there.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import ContractError
from ..scorers.features import Features, there
from ..scorers.matrices import unit


@dataclass(frozen=True)
class Placed:
    """The distinct rows.

    Attributes:
        ids: (points,) sample_id, sorted.
        of_rows: (rows with a vector,) int32 the place of each, in the order read.
        numbers: of a vector, 0 where there is none.
    """

    ids: pa.Array
    of_rows: np.ndarray
    numbers: int


@dataclass(frozen=True)
class Points:
    """Where the vectors are, and what becomes of them.

    Attributes:
        features: the column.
        unit: set the vector of a row to length 1.
    """

    features: Features
    unit: bool = False

    def placed(self, pool: Iterable[pa.Table]) -> Placed:
        """Return which rows there are.

        Raises:
            ContractError: vectors of different lengths.
        """
        chunks, numbers = [pa.array([], pa.string())], 0
        for table in pool:
            for ids, block in self._blocks(table):
                numbers = numbers or block.shape[1]
                if block.shape[1] != numbers:
                    raise ContractError(
                        f"{self.features.of} has vectors of {block.shape[1]} and of {numbers} "
                        f"numbers"
                    )
                chunks += ids.chunks
        coded = pa.chunked_array(chunks).combine_chunks().dictionary_encode()
        order = np.asarray(pc.sort_indices(coded.dictionary), dtype=np.int64)
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order))
        ids = coded.dictionary.take(pa.array(order))
        return Placed(ids, rank[np.asarray(coded.indices)], numbers)

    def gathered(self, pool: Iterable[pa.Table], placed: Placed) -> np.ndarray:
        """Return the vector of each place, (points, numbers) fp32.

        Args:
            pool: what was placed, read once more.
            placed: from `placed`.
        """
        n, at = len(placed.ids), 0
        vectors = np.full((n, placed.numbers), np.inf, np.float32)
        single = np.bincount(placed.of_rows, minlength=n) == 1
        for table in pool:
            for _, block in self._blocks(table):
                to, at = placed.of_rows[at : at + len(block)], at + len(block)
                alone = single[to]
                vectors[to[alone]] = block[alone]
                for place, vector in zip(to[~alone], block[~alone].astype(np.float32), strict=True):
                    if vector.tolist() < vectors[place].tolist():
                        vectors[place] = vector
        return vectors

    def _blocks(self, rows: pa.Table) -> Iterator[tuple[pa.Array, np.ndarray]]:
        """Ids and vectors of the rows that have one, a few at a time."""
        for some, block in self.features.blocks(rows):
            vectors = unit(block) if self.unit else block
            known = there(vectors)
            if known.any():
                ids = rows["sample_id"].slice(some.start, some.stop - some.start)
                yield ids.filter(pa.array(known)), vectors[known]


def places_of(rows: pa.ChunkedArray, ids: pa.Array) -> np.ndarray:
    """Return where rows stand among sorted ids, (rows,) int32, -1 where they do not.

    Looked up one by one: a hash of all ids would be made anew for every part.
    """
    found = np.full(len(rows), -1, np.int32)
    for at, row in enumerate(rows.to_pylist()):
        place = bisect_left(ids, row, key=lambda one: one.as_py())
        if place < len(ids) and ids[place].as_py() == row:
            found[at] = place
    return found
