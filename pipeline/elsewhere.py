"""Rows that were chosen elsewhere, found again in the pool of a run.

They are read as `data` is: any file, folder or dataset, in any known shape. A row is one of the
pool if its content is the same to the last space. Where the `input` of an Alpaca row begins is part
of its content, and messages alone do not say it; so a row of messages is also looked for with an
`input` that begins at any of its lines.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import DataError
from ..stages.base import plain_json
from ..stages.formats import Conversation
from ..stages.hub import resolve_dataset
from ..stages.ingest import RawPart, ingest, sample_id
from ..stages.source import Source
from .finished import Finished
from .overrides import exists
from .row_search import lines
from .selection import KEPT
from .sides import TURNS, Lengths, Side

PART_ROWS = 1024


@dataclass(frozen=True)
class Reading:
    """How the rows were read.

    Attributes:
        n: records.
        n_rejected: of these, that are no rows.
        n_matched: rows whose content is one of the pool's.
    """

    n: int
    n_rejected: int
    n_matched: int


@dataclass
class _Rows:
    """What is kept of the rows: no text.

    Attributes:
        ids: the sample_id of each; the pool's where it is known there.
        lengths: characters of instruction and answer.
        n, n_rejected, n_matched: as in `Reading`.
    """

    ids: list[str] = field(default_factory=list)
    lengths: list[list[int]] = field(default_factory=list)
    n: int = 0
    n_rejected: int = 0
    n_matched: int = 0

    def add(self, part: RawPart, known: np.ndarray) -> None:
        """Count a part, and look for its rows among the sample_ids of the pool, in order."""
        self.n += part.n
        self.n_rejected += len(part.rejected)
        own = [row["sample_id"] for row in part.rows]
        for row, name, there in zip(part.rows, own, _among(known, own), strict=True):
            if not there:
                others = list(_other_names(row))
                found = np.flatnonzero(_among(known, others))
                name = others[found[0]] if len(found) else name
                there = bool(len(found))
            self.ids.append(name)
            self.n_matched += bool(there)
            self.lengths.append(
                [sum(len(m["content"]) for m in row["messages"] if m["role"] == r) for r in TURNS]
            )


def chosen_elsewhere(path: str, run: Finished) -> tuple[Side, Reading]:
    """Return the rows at a path as a side beside a run, and how they were read.

    Args:
        path: a file, folder, glob, or dataset of the hub.
        run: in whose pool they are looked for.

    Raises:
        DataError: nothing can be read there, or no row is one of the pool.
    """
    pool = lines(run, ("sample_id", "source"), pc.is_valid(pc.field("sample_id")))
    known = np.sort(np.array(pool["sample_id"].to_pylist(), dtype="S32"))
    source, rows = Source(name="chosen", path=path), _Rows()
    commit = "" if exists(path) else resolve_dataset(path, None)
    max_chars = run.config.max_chars
    for part in ingest([(source, commit)], part_rows=PART_ROWS, max_chars=max_chars):
        rows.add(part, known)
    if not rows.ids:
        raise DataError(f"{path}: no usable row among {rows.n}")
    if not rows.n_matched:
        raise DataError(
            f"none of the {len(rows.ids):,} rows of {path} is among the {len(pool):,} of the run; "
            f"a row is the same only if its messages are, to the last space"
        )
    return _side(path, rows, pool), Reading(rows.n, rows.n_rejected, rows.n_matched)


def _side(path: str, rows: _Rows, pool: pa.Table) -> Side:
    """The rows as a side, a line for each content; their source is that of the pool."""
    ids, first = np.unique(np.array(rows.ids, dtype=object), return_index=True)
    names = pa.array(ids, pa.string())
    source = pool["source"].combine_chunks()
    columns = {
        "row_id": pa.array(first),
        "sample_id": names,
        "source": source.take(pc.index_in(names, pool["sample_id"].combine_chunks())),
        "outcome": pa.array([KEPT] * len(ids)),
        "step": pa.nulls(len(ids), pa.string()),
        "reason": pa.nulls(len(ids), pa.string()),
        "rank": pa.nulls(len(ids), pa.int64()),
    }
    lengths = np.array(rows.lengths, dtype=np.int64)
    return Side(
        path, pa.table(columns), lengths=Lengths(lengths[:, 0], lengths[:, 1]), n_rows=len(rows.ids)
    )


def _other_names(row: Mapping[str, Any]) -> Iterator[str]:
    """The sample_ids of a row if its input began elsewhere, or nowhere."""
    messages, tools = [plain_json(message) for message in row["messages"]], row["tools"]
    if row["input_start"] is not None:
        yield sample_id(Conversation(messages, tools))
        return
    user = next(message["content"] for message in messages if message["role"] == "user")
    for at, character in enumerate(user):
        if character == "\n":
            yield sample_id(Conversation(messages, tools, at + 1))


def _among(known: np.ndarray, names: list[str]) -> np.ndarray:
    """(names,) whether each is among the known ones, which are sorted."""
    wanted = np.array(names, dtype="S32")
    places = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
    return np.asarray(known[places] == wanted)
