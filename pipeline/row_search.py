"""Which row is meant: by its row_id, its sample_id, its text, or its place in the input."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import ArtifactError, ConfigError, DataError
from ..stages.formats import BadRecord
from ..stages.ingest import read_row, shaped
from ..stages.locations import locate
from ..stages.readers import is_dataset_folder
from ..stages.source import Source
from .files import readable
from .finished import Finished
from .selection import REJECTED
from .sources import input_files

SAMPLE_ID = re.compile(r"[0-9a-f]{4,32}")
AROUND = 40  # characters shown before and after a text that was found


@dataclass(frozen=True)
class Match:
    """A row that holds a text.

    Attributes:
        row_id: which.
        outcome: kept, dropped or rejected.
        text: some of its text around what was found.
    """

    row_id: int
    outcome: str
    text: str


def lines(run: Finished, names: Sequence[str] | None, where: pc.Expression | None) -> pa.Table:
    """Return some lines of a run's ledger; only what is asked for is read.

    Args:
        run: the run.
        names: columns; None: all.
        where: which lines; None: all.

    Raises:
        ArtifactError: the ledger is gone or damaged.
    """
    path = run.folder / "ledger.parquet"
    try:
        columns = None if names is None else list(names)
        return pq.read_table(readable(path), columns=columns, filters=where)
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(str(path), str(error).splitlines()[0]) from error


def line_of(run: Finished, row_id: int) -> dict[str, Any]:
    """Return what the ledger says of a row.

    Raises:
        DataError: there is no such row.
    """
    found = lines(run, None, pc.field("row_id") == row_id).to_pylist()
    if not found:
        n = run.manifest["pool"]["rows_in"]
        raise DataError(f"no row {row_id} in this run; there are 0 to {n - 1}")
    line: dict[str, Any] = found[0]
    return line


def find_row(run: Finished, named: str) -> int:
    """Return the row that a row_id or the start of a sample_id names.

    Rows of the same content share their sample_id; the first of them is taken.

    Raises:
        ConfigError: it is neither, or the start of several.
        DataError: there is no such row.
    """
    if named.isascii() and named.isdigit() and len(named) < 19:
        return int(line_of(run, int(named))["row_id"])
    if not SAMPLE_ID.fullmatch(named):
        raise ConfigError(
            f"ROW {named!r} is neither a row_id nor the start (four characters or more) of a "
            f"sample_id; to look for a text, give it with --find"
        )
    found = lines(run, ("row_id", "sample_id"), pc.starts_with(pc.field("sample_id"), named))
    ids = pc.unique(found["sample_id"]).to_pylist()
    if len(ids) > 1:
        raise ConfigError(f"{named!r} is the start of {len(ids)} sample_ids: {', '.join(ids[:3])}")
    if not ids:
        raise DataError(f"no row of this run has a sample_id that starts with {named!r}")
    return int(pc.min(found["row_id"]).as_py())


def find_text(run: Finished, text: str, most: int) -> list[Match]:
    """Return the first rows that hold a text in a message, whatever its case; rejected ones last.

    The rows are read part by part, and no further than needed.

    Args:
        run: the run.
        text: to look for.
        most: so many rows at most.

    Raises:
        ConfigError: no text.
        DataError: the rows are no longer in the store.
    """
    if not text.strip():
        raise ConfigError("--find needs a text")
    found = dict[int, str]()
    for table in run.tables(["messages"]):
        for row_id, message in _holding(table, text):
            if row_id not in found:
                found[row_id] = _around(message, text)
        if len(found) >= most:
            break
    ids = sorted(found)[:most]
    where = pc.field("row_id").isin(pa.array(ids, pa.int64()))
    known = lines(run, ("row_id", "outcome"), where).to_pylist()
    matches = [Match(own["row_id"], own["outcome"], found[own["row_id"]]) for own in known]
    raw = run.rejected.filter(pc.match_substring(run.rejected["raw"], text, ignore_case=True))
    for own in raw.slice(0, most - len(matches)).to_pylist():
        matches.append(Match(own["row_id"], REJECTED, _around(own["raw"], text)))
    return matches


def find_place(run: Finished, place: str) -> int:
    """Return the row that stands at a place in the input.

    Args:
        run: the run.
        place: `NAME:N`: a file, or an entry of `data` with one file, and the line of it; the number
            of the record where a file does not go by lines (a JSON array, Parquet, a dataset).

    Raises:
        ConfigError: not of this form, or no such file.
        DataError: no record there, or the file is not what the run read.
    """
    name, _, number = place.rpartition(":")
    if not name or not (number.isascii() and number.isdigit()):
        raise ConfigError(f"--at {place!r} is not FILE:LINE, such as pool.jsonl:17")
    source, file = _file(run, name)
    wanted = int(number)
    first = pc.min(lines(run, ("row_id",), pc.field("source") == source.name)["row_id"]).as_py()
    if first is None:
        raise DataError(f"the run has no row of data.{source.name}")
    records = shaped(source, source.revision or "", run.config.max_chars)
    for position, (own_file, record, parts) in enumerate(records):
        if own_file == file and record.place == wanted:
            try:
                content = read_row(record, parts, run.config.max_chars)["sample_id"]
            except BadRecord:
                content = None
            if line_of(run, first + position)["sample_id"] != content:
                raise DataError(f"{name} has another row there now than when the run read it")
            return int(first + position)
    raise DataError(f"no record starts at line {wanted} of {name}")


def _holding(table: pa.Table, text: str) -> Iterator[tuple[int, str]]:
    """The row_id and message of every message that holds a text."""
    lists = table["messages"].combine_chunks()
    said = lists.flatten().field("content")
    hit = pc.fill_null(pc.match_substring(said, text, ignore_case=True), False)
    owners = table["row_id"].take(pc.list_parent_indices(lists).filter(hit))
    yield from zip(owners.to_pylist(), said.filter(hit).to_pylist(), strict=True)


def _around(message: str, text: str) -> str:
    at = message.lower().find(text.lower())
    start = max(at - AROUND, 0)
    end = max(at, 0) + len(text) + AROUND
    shown = " ".join(message[start:end].split())
    return ("… " if start else "") + shown + (" …" if end < len(message) else "")


def _file(run: Finished, name: str) -> tuple[Source, int]:
    """The entry of `data` that a name means, and the number of the file in it."""
    found = list[tuple[Source, int]]()
    known = list[str]()
    for source in run.config.data:
        whole = source.revision is not None or is_dataset_folder(locate(source.path))
        files = [source.path] if whole else [str(file) for file in input_files(source)]
        known += files
        if name == source.name and len(files) == 1:
            found.append((source, 0))
            continue
        found += [(source, i) for i, file in enumerate(files) if f"/{file}".endswith(f"/{name}")]
    if len(found) == 1:
        return found[0]
    why = "no file of this run" if not found else f"{len(found)} files of this run"
    raise ConfigError(f"--at {name!r} names {why}; there are {', '.join(known[:10])}")
