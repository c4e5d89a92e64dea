"""A pool in small: rows that stand for all of it, and its longest ones, in a store of their own.

Rows are sorted by the length of their conversations and cut into as many strata as rows are wanted;
of each stratum one row is drawn by the seed and its content. So the lengths are those of the pool,
which is what the cost of a row goes by. The longest rows are a part of their own: they are run
first, fill a batch, and so take the most memory that a batch can.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa

from ..scorers.random import uniform
from .fingerprint import key
from .plan import Plan, Step
from .pool import CONVERSATION, Pool
from .report.texts import lengths
from .store import Address, Part, Store

POSITION = "position"


@dataclass(frozen=True)
class Lengths:
    """All rows of a pool.

    Attributes:
        sample_ids: of each row.
        characters: (rows,) int64, of all messages of a row.
    """

    sample_ids: pa.ChunkedArray
    characters: np.ndarray


@dataclass(frozen=True)
class Sample:
    """Some rows of a pool.

    Attributes:
        pool: with the part `drawn`, and after it the `longest` where they are wanted.
        drawn: rows that stand for all.
        longest: the longest rows, or None.
        whole: all rows of the pool were drawn.
        known: columns of the drawn parts that need not be computed, under their full names.
    """

    pool: Pool
    drawn: Part
    longest: Part | None
    whole: bool
    known: Mapping[Part, pa.Table] = field(default_factory=dict)


def lengths_of(store: Store, pool: Pool) -> Lengths:
    """Return how long the conversations of a pool are; reads them once."""
    names = ("sample_id", "messages")
    ids: list[pa.Array] = []
    found = [np.empty(0, np.int64)]
    for rows in store.read_pool(pool.parts, {name: pool.address(name) for name in names}):
        ids += rows["sample_id"].chunks
        found.append(lengths(rows["messages"], role=None).astype(np.int64))
    return Lengths(pa.chunked_array(ids, pa.string()), np.concatenate(found))


def draw(lengths: Lengths, n: int, seed: int) -> np.ndarray:
    """Return the places of `n` rows, one of each stratum of lengths, in the order of their draws.

    Args:
        lengths: of the pool.
        n: rows; all where there are no more.
        seed: names the draw.
    """
    draws = uniform(seed, lengths.sample_ids)
    by_length = np.lexsort((draws, lengths.characters))
    cuts = np.linspace(0, len(draws), min(n, len(draws)) + 1).round().astype(np.int64)
    strata = [by_length[low:high] for low, high in pairwise(cuts)]
    picks = np.array([rows[np.argmin(draws[rows])] for rows in strata], np.int64)
    return np.asarray(picks[np.argsort(draws[picks], kind="stable")])


def longest(lengths: Lengths, n: int) -> np.ndarray:
    """Return the places of the `n` longest rows, the longest first; equal ones by their content."""
    ids = np.array(lengths.sample_ids.to_pylist())
    return np.lexsort((ids, -lengths.characters))[:n]


def make_sample(
    store: Store,
    pool: Pool,
    places: tuple[np.ndarray, np.ndarray],
    known: Mapping[str, Address],
    into: Store,
) -> Sample:
    """Copy rows of a pool into another store, as a pool of its own.

    Args:
        store: of the pool.
        pool: to take rows from.
        places: of the rows that stand for all, and of the longest ones (or none).
        known: columns that are computed already.
        into: where the rows go.
    """
    rows = {name: pool.address(name) for name in (*CONVERSATION, "source", *pool.columns)}
    parts, tables = list[Part](), dict[Part, pa.Table]()
    for some in places:
        if len(some):
            table = _take(store, pool, some, {**rows, **known})
            first = sum(part.n_rows for part in parts)
            name = key("\n".join(table["sample_id"].to_pylist()))
            part = Part(f"{len(parts)}{name}", first, len(table))
            position = pa.array(np.arange(len(table)), pa.int32())
            into.write_rows(part, table.select(list(rows)).add_column(0, POSITION, position))
            parts.append(part)
            tables[part] = table.select(list(known))
    n = sum(part.n_rows for part in parts)
    small = Pool("sample", tuple(parts), n, {}, pool.columns, pool.extras)
    whole = len(places[0]) == pool.n_rows
    return Sample(small, parts[0], parts[1] if len(parts) > 1 else None, whole, tables)


def fill_in(sample: Sample, steps: Sequence[Step], store: Store) -> None:
    """Keep what is known already of a sample under the names that its own plan gives."""
    for part, table in sample.known.items():
        for step in steps:
            own = [c for c in step.wanted if f"{step.name}.{c}" in table.column_names]
            columns = table.select([f"{step.name}.{c}" for c in own]).rename_columns(own)
            store.write(step.folder, part, columns, step.whole)


def known_columns(plan: Plan, pool: Pool, store: Store) -> dict[str, Address]:
    """Return the columns of the steps that are computed for the whole pool already."""
    done = [
        step.name
        for step in plan.steps
        if not store.missing(step.folder, step.wanted, pool.parts, step.whole)
    ]
    return {n: address for n, address in plan.columns.items() if n.partition(".")[0] in done}


def _take(store: Store, pool: Pool, places: np.ndarray, columns: Mapping[str, Address]) -> pa.Table:
    """Columns of the rows at some places of a pool, in the order of these."""
    ends = np.cumsum([part.n_rows for part in pool.parts])
    ascending = np.sort(places)
    cuts = np.split(ascending, np.searchsorted(ascending, ends[:-1]))
    tables = [
        store.read(part, columns).take(pa.array(cut - (end - part.n_rows)))
        for part, cut, end in zip(pool.parts, cuts, ends, strict=True)
        if len(cut)
    ]
    rows = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    return rows.take(pa.array(np.searchsorted(ascending, places)))
