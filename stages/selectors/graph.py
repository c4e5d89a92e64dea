"""The columns of a neighbour graph (the signal `knn`) as arrays, for selectors that go by it.

The graph is that of the whole pool. A selector sees the rows that are left: neighbours that are
not among them lead nowhere.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...scorers.signals import column_type

COLUMNS = ("place", "neighbours", "similarity", "status")


@dataclass(frozen=True)
class Graph:
    """The neighbours of each row, one list after the other.

    Attributes:
        place: (rows,) int64 of each row in the graph, -1 for a row without one; the same for rows
            with the same content, and in the order of their sample_id.
        starts: (rows + 1,) where the list of each row starts.
        neighbours: (edges,) int64 places.
        similarity: (edges,) float32 cosines, falling within a list.
    """

    place: np.ndarray
    starts: np.ndarray
    neighbours: np.ndarray
    similarity: np.ndarray

    def of(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the neighbours of a row and their similarities."""
        own = slice(self.starts[row], self.starts[row + 1])
        return self.neighbours[own], self.similarity[own]


def graph_schema(name: str) -> pa.Schema:
    """Return the schema of the graph that a `knn` block makes."""
    return pa.schema([(f"{name}.{column}", column_type(column)) for column in COLUMNS])


def read_graph(pool: pa.Table, name: str) -> Graph:
    """Return the graph of the rows of a pool."""
    counts = pc.fill_null(pc.list_value_length(pool[f"{name}.neighbours"]), 0).to_numpy()
    return Graph(
        place=pc.fill_null(pool[f"{name}.place"], -1).to_numpy().astype(np.int64),
        starts=np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        neighbours=_flat(pool[f"{name}.neighbours"]).astype(np.int64),
        similarity=_flat(pool[f"{name}.similarity"]),
    )


def _flat(lists: pa.ChunkedArray) -> np.ndarray:
    return np.concatenate(
        [np.empty(0, np.float32)] * (not lists.num_chunks)
        + [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in lists.chunks]
    )
