"""Groups of rows that are like each other: linked rows, however many links apart.

A group is named by the smallest sample_id in it, so its name depends on no order. A row that is
linked with no other is a group of one, and is left out of the state.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ..scorers.signals import column_type
from .base import Stage

GROUPS = pa.schema(
    [
        ("key", pa.uint64()),  # hash of a sample_id, rising
        ("group", pa.string()),  # the smallest sample_id of its rows
        ("size", pa.int32()),  # rows of the group
    ]
)


class Several(NamedTuple):
    """The rows in groups of several.

    Attributes:
        rows: (some,) which.
        first: (some,) of each the row that its group is named after.
        size: (some,) rows of its group.
    """

    rows: np.ndarray
    first: np.ndarray
    size: np.ndarray


class Grouped(Stage, ABC):
    """Puts each row into a group, which `fit` finds in the pool."""

    @property
    def more(self) -> tuple[str, ...]:
        """Columns of the state beside group and size; default: none."""
        return ()

    @property
    def adds(self) -> pa.Schema:
        """Name and size of the group, and what else is known of the row in it."""
        names = ("group", "size", *self.more, "status")
        return pa.schema([(name, column_type(name)) for name in names])

    @property
    def fits_pool(self) -> bool:
        """The other rows are the pool's."""
        return True

    def found(self) -> str:
        """Return how many rows are in groups of several."""
        return said(self._fitted)

    @abstractmethod
    def status(self, rows: pa.Table) -> pa.Array:
        """Return whether each row could be compared."""

    def run(self, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
        """Return the wanted columns.

        Raises:
            ValueError: nothing was fitted.
        """
        if self._fitted is None:
            name = type(self).__name__
            raise ValueError(f"{name} needs the groups that `fit` finds in the pool")
        columns = group_columns(rows, self._fitted) | {"status": self.status(rows)}
        return pa.table({name: columns[name] for name in wanted})


def buckets(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an order of (keys,) by value, and (buckets + 1,) where equal ones begin in it."""
    order = np.argsort(keys, kind="stable")
    arranged = keys[order]
    new = np.ones(len(keys), dtype=bool)
    new[1:] = arranged[1:] != arranged[:-1]
    return order, np.append(np.flatnonzero(new), len(keys))


def linked(n: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return which of n rows hang together by links from left to right, (n,) a label of each."""
    from scipy import sparse  # heavy
    from scipy.sparse.csgraph import connected_components

    links = sparse.coo_matrix((np.ones(len(left), bool), (left, right)), shape=(n, n))
    found: np.ndarray = connected_components(links, directed=False)[1]
    return found


def several(ids: pa.Array, labels: np.ndarray) -> Several:
    """Return the rows that are not alone in their group.

    Args:
        ids: (rows,) sample_id.
        labels: (rows,) of their groups.
    """
    size = np.bincount(labels)[labels]
    rows = np.flatnonzero(size > 1)
    own = labels[rows]
    order = np.lexsort([_rank(ids.take(pa.array(rows))), own])
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = np.diff(own[order]) > 0
    first = np.empty(len(order), np.int64)
    first[order] = rows[order[np.flatnonzero(begins)]][np.cumsum(begins) - 1]
    return Several(rows, first, size[rows])


def state(ids: pa.Array, found: Several, **more: np.ndarray) -> pa.Table:
    """Return the groups of several rows, one line for each sample_id in the order of its hash.

    Args:
        ids: (rows,) sample_id.
        found: from `several`.
        more: further columns, a value for each of its rows.
    """
    own = ids.take(pa.array(found.rows))
    keys, at = np.unique(_keys(own), return_index=True)
    group, size = ids.take(pa.array(found.first[at])), pa.array(found.size[at], pa.int32())
    lines = pa.table([pa.array(keys), group, size], schema=GROUPS)
    for name, values in more.items():
        lines = lines.append_column(name, pa.array(values[at]))
    return lines


def group_columns(rows: pa.Table, groups: pa.Table) -> dict[str, pa.Array]:
    """Return `group` and `size` of rows, and what else the state has; null for a lonely row.

    Args:
        rows: with `sample_id`.
        groups: from `state`.
    """
    ids = rows["sample_id"].combine_chunks()
    keys, known = _keys(ids), groups["key"].to_numpy()
    places = np.searchsorted(known, keys)
    there = np.append(known, 0)[places] == keys
    there &= places < len(known)
    at = pa.array(places, mask=~there)
    found = {name: groups[name].combine_chunks().take(at) for name in groups.column_names[1:]}
    found["group"] = pc.coalesce(found["group"], ids)
    found["size"] = pc.coalesce(found["size"], pa.scalar(1, pa.int32()))
    return found


def said(groups: pa.Table | None) -> str:
    """Return in a few words how many groups of several rows there are; empty without a state."""
    if groups is None:
        return ""
    sizes = dict(zip(groups["group"].to_pylist(), groups["size"].to_pylist(), strict=True))
    rows = sum(sizes.values())
    return f"{rows:,} rows in {len(sizes):,} groups of several"


def _keys(ids: pa.Array) -> np.ndarray:
    """(rows,) uint64: a hash of each id. Of a million no two share one, but by 3 in 10^8."""
    own = [xxhash.xxh3_64_intdigest(name) for name in ids.cast(pa.binary()).to_pylist()]
    return np.array(own, np.uint64)


def _rank(ids: pa.Array) -> np.ndarray:
    """(rows,) the place of each id among the distinct ones."""
    coded = ids.dictionary_encode()
    order = np.asarray(pc.sort_indices(coded.dictionary), dtype=np.int64)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    found: np.ndarray = rank[np.asarray(coded.indices)]
    return found
