"""The pool of a run: its parts, read once from the inputs, kept under a hash of their content."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import DataError
from ..stages.ingest import (
    REJECTED,
    RawPart,
    ingest,
    part_hashes,
    rejected_table,
    rows_table,
)
from ..stages.locations import Location
from ..stages.remote import is_file
from ..stages.shots import with_shots
from ..stages.source import Target
from .config import Config
from .files import read, readable, whole_file
from .fingerprint import canonical, key
from .sources import content_of, input_files
from .store import Address, Part, Store, damaged

log = logging.getLogger(__name__)

VERSION = 1  # raised when the same input gives other rows
NOT_READ = ("path", "revision", "license")  # of a source: they say nothing of its content
CONVERSATION = ("sample_id", "messages", "tools", "input_start")


@dataclass(frozen=True)
class Pool:
    """What was read.

    Attributes:
        key: names the pool: a hash of the content of its inputs and how they were read.
        parts: in order.
        n_input: records, rejected ones included.
        rejected: how many for each kind of reason.
        columns: other input columns (`data.…`) and whether they are bool, int64, double or string.
        extras: fields that some message or row has: tools, name, tool_calls, tool_call_id.
    """

    key: str
    parts: tuple[Part, ...]
    n_input: int
    rejected: dict[str, int]
    columns: dict[str, str]
    extras: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        """Usable rows."""
        return sum(part.n_rows for part in self.parts)

    def address(self, column: str) -> Address:
        """Return where a column of the rows lives; conversations alone do not make it whole."""
        return Address("", column, column not in CONVERSATION, self.columns.get(column, ""))

    @property
    def n_rejected(self) -> int:
        """Records that are not rows."""
        return sum(self.rejected.values())


def pool_key(config: Config) -> str:
    """Return the name of the pool that a config reads; reads every input file once."""
    sources = []
    for source in config.data:
        idle = set[str]() if getattr(source, "shots", 0) else {"subtask", "shots"}
        fields = source.model_dump(mode="json", exclude={*NOT_READ, *idle})
        fields["name"] = source.name  # that of a target is not dumped
        sources.append(fields | {"content": source.revision or content_of(input_files(source))})
    facts = {"version": VERSION, "part_rows": config.part_rows, "max_chars": config.max_chars}
    return key(canonical({"pool": facts, "sources": sources}))


def find_pool(store: Store, name: str) -> Pool | None:
    """Return a pool that was read before, if all its rows are still there."""
    pool = load_pool(store, name)
    if pool is None:
        return None
    whole = is_file(_folder(store, name) / "rejected.parquet")
    return pool if whole and store.has_all_rows(pool.parts) else None


def load_pool(store: Store, name: str) -> Pool | None:
    """Return what a store says of a pool, whether its rows are there or not; None if nothing."""
    path = _folder(store, name) / "pool.json"
    if not is_file(path):
        return None
    try:
        facts = json.loads(read(path))
        facts["parts"] = tuple(Part(**part) for part in facts["parts"])
        return Pool(**facts | {"extras": tuple(facts["extras"])})
    except (ValueError, TypeError, KeyError) as error:
        log.warning("%s is damaged (%s)", path, error)
        return None


def read_pool(config: Config, store: Store, name: str, progress: Callable[[int], None]) -> Pool:
    """Read the inputs of a config into the store.

    Args:
        config: with pinned sources.
        store: where the parts go.
        name: the pool's key.
        progress: called with the number of records read so far.

    Raises:
        DataError: an input cannot be read, no row is usable, or one is rejected with `strict`.
    """
    sources = [(source, source.revision or "") for source in config.data]
    read = ingest(sources, part_rows=config.part_rows, max_chars=config.max_chars)
    raw_parts = with_shots(read, config.data, config.max_chars)
    parts: list[Part] = []
    columns: dict[str, str] = {}
    extras: set[str] = set()
    reasons: Counter[str] = Counter()
    n_input = 0
    path = _folder(store, name) / "rejected.parquet"
    with whole_file(path) as partial, pq.ParquetWriter(partial, REJECTED) as writer:
        for raw in raw_parts:
            if config.strict and raw.rejected:
                raise _strict(config, raw.rejected[0])
            writer.write_table(rejected_table(raw))
            reasons.update(row["reason"].partition(":")[0] for row in raw.rejected)
            n_input = raw.first + raw.n
            if raw.rows:
                rows = rows_table(raw)
                conversations, whole = part_hashes(raw, VERSION)
                part = Part(conversations, raw.first, len(rows), whole)
                if not store.has_rows(part):
                    store.write_rows(part, rows)
                parts.append(part)
                _note_columns(rows, columns)
                extras |= _extras(raw)
            progress(n_input)
    why = dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    pool = Pool(name, tuple(parts), n_input, why, columns, tuple(sorted(extras)))
    if not parts:
        places = ", ".join(source.place for source in config.data)
        reason = _why(pool.rejected)
        raise DataError(f"{places}: no usable row in {n_input} of the input; {reason}")
    store.write_json(_folder(store, name) / "pool.json", asdict(pool))
    return pool


def check_strict(config: Config, store: Store, pool: Pool) -> None:
    """Raise if `strict` is on and a pool that was read before has rejected rows.

    Raises:
        DataError: the first of them.
    """
    if config.strict and pool.n_rejected:
        rejected = _rejected(store, pool)
        raise _strict(config, rejected.slice(0, 1).to_pylist()[0])


def peek_pool(config: Config, name: str) -> Pool:
    """Return a pool that is not read yet: no parts, and the columns of its first one."""
    sources = [(source, source.revision or "") for source in config.data]
    columns: dict[str, str] = {}
    for raw in ingest(sources, part_rows=config.part_rows, max_chars=config.max_chars):
        if raw.rows:
            _note_columns(rows_table(raw), columns)
            break
    return Pool(name, (), 0, {}, columns)


def rejected_rows(store: Store, config: Config, pool: Pool) -> pa.Table:
    """Return what was rejected: row_id, source, file, line, reason and the start of its text."""
    table = _rejected(store, pool)
    names = {
        source.name: [str(file) for file in input_files(source)] or [source.path]
        for source in config.data
    }
    pairs = zip(table["source"].to_pylist(), table["file"].to_pylist(), strict=True)
    files = [names[source][min(number, len(names[source]) - 1)] for source, number in pairs]
    place = table.schema.get_field_index("file")
    return table.set_column(place, "file", pa.array(files, pa.string()))


def _rejected(store: Store, pool: Pool) -> pa.Table:
    path = _folder(store, pool.key) / "rejected.parquet"
    try:
        return pq.read_table(readable(path))
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error


def _folder(store: Store, name: str) -> Location:
    return store.root / "pools" / name


def _note_columns(rows: pa.Table, columns: dict[str, str]) -> None:
    """Widen the known type of each input column by what one part holds."""
    for field in rows.schema:
        if not field.name.startswith("data."):
            continue
        before, now = columns.get(field.name, "null"), str(field.type)
        if "null" in (before, now) or before == now:
            columns[field.name] = before if now == "null" else now
        elif {before, now} == {"int64", "double"}:
            columns[field.name] = "double"
        else:
            columns[field.name] = "string"


def _extras(raw: RawPart) -> set[str]:
    found = {name for row in raw.rows for message in row["messages"] for name in message}
    found |= {"tools" for row in raw.rows if row["tools"] is not None}
    return found - {"role", "content"}


def _strict(config: Config, rejected: Mapping[str, Any]) -> DataError:
    source = next(s for s in config.data if s.name == rejected["source"])
    files = input_files(source)
    where = str(files[rejected["file"]]) if rejected["file"] < len(files) else source.name
    strict = "strict is on"
    if isinstance(source, Target):
        where, strict = f"{source.place}: {where}", "a target must be readable to the last row"
    return DataError(f"{where}, line {rejected['line']}: {rejected['reason']} ({strict})")


def _why(reasons: dict[str, int]) -> str:
    shown = "; ".join(f"{n} x {reason}" for reason, n in list(reasons.items())[:3])
    return shown or "the input is empty"
