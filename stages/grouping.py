"""Groups of rows that are like each other: linked rows, however many links apart.

A group is named by the smallest sample_id in it, so its name depends on no order. A row that is
linked with no other is a group of one, and is left out of the state.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from .base import ROWS
from .points import places_of

GROUPS = pa.schema(
    [
        ROWS.field("sample_id"),
        ("group", pa.string()),  # the smallest sample_id of its rows
        ("size", pa.int32()),  # rows of the group
    ]
)


def buckets(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an order of (keys,) by value, and (buckets + 1,) where equal ones begin in it."""
    order = np.argsort(keys, kind="stable")
    arranged = keys[order]
    new = np.ones(len(keys), dtype=bool)
    new[1:] = arranged[1:] != arranged[:-1]
    return order, np.append(np.flatnonzero(new), len(keys))


def linked(n: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return which of n rows hang together by links from left to right, (n,) a label of each."""
    from scipy.sparse.csgraph import connected_components

    links = sparse.coo_matrix((np.ones(len(left), bool), (left, right)), shape=(n, n))
    found: np.ndarray = connected_components(links, directed=False)[1]
    return found


def named(ids: pa.Array, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows in groups of several, and of each the first row of its group, and its size.

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
    return rows, first, size[rows]


def state(ids: pa.Array, labels: np.ndarray) -> pa.Table:
    """Return the groups of several rows, one line per distinct row in the order of sample_id."""
    rows, first, size = named(ids, labels)
    columns = [ids.take(pa.array(rows)), ids.take(pa.array(first)), pa.array(size, pa.int32())]
    return distinct(pa.table(columns, schema=GROUPS))


def distinct(lines: pa.Table) -> pa.Table:
    """Return the first line of each sample_id, in their order."""
    order = pc.sort_indices(lines["sample_id"])
    lines = lines.take(order).combine_chunks()
    ids = lines["sample_id"]
    new = np.ones(len(lines), dtype=bool)
    new[1:] = np.asarray(pc.not_equal(ids[1:], ids[:-1]))
    return lines.filter(pa.array(new)).combine_chunks()


def group_columns(rows: pa.Table, groups: pa.Table) -> dict[str, pa.Array]:
    """Return `group` and `size` of rows, and what else the state has; null for a lonely row.

    Args:
        rows: with `sample_id`.
        groups: from `state`.
    """
    ids = rows["sample_id"].combine_chunks()
    known = groups["sample_id"].combine_chunks()
    places = places_of(rows["sample_id"], known)
    places = pa.array(places, mask=places < 0)
    found = {name: groups[name].combine_chunks().take(places) for name in groups.column_names[1:]}
    found["group"] = pc.coalesce(found["group"], ids)
    found["size"] = pc.coalesce(found["size"], pa.scalar(1, pa.int32()))
    return found


def _rank(ids: pa.Array) -> np.ndarray:
    """(rows,) the place of each id among the distinct ones."""
    coded = ids.dictionary_encode()
    order = np.asarray(pc.sort_indices(coded.dictionary), dtype=np.int64)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    found: np.ndarray = rank[np.asarray(coded.indices)]
    return found


def said(groups: pa.Table | None) -> str:
    """Return in a few words how many groups of several rows there are; empty without a state."""
    if groups is None:
        return ""
    sizes = dict(zip(groups["group"].to_pylist(), groups["size"].to_pylist(), strict=True))
    rows = sum(sizes.values())
    return f"{rows:,} rows in {len(sizes):,} groups of several"
