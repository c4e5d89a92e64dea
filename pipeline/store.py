"""Computed columns on disk, named by what made them; the score-once store.

::

    store/
      rows/<part rows>.parquet                    canonical rows of a part
      pools/<key>/pool.json, rejected.parquet     which parts a pool is made of
      <use>-<key>/<column>/<part hash>.parquet    one column of one part; under <part rows> where
                                                  it comes from more than the conversations
      <use>-<key>/step.json                       the text that was hashed into the key
      <use>-<key>/fitted.parquet                  what a step must know of all rows or of targets
      <use>-<key>/<round>/<part hash>/            see `round_files`
      answers/<key>/<process>.jsonl               what servers have answered, see `stages.answers`
      forecasts/<key>.json                        what `tamis plan --measure` said
      spent/<key>.json                            hours of a run that has limits, until it is done

A file gets its name only when it is whole (see `files`), and nothing is ever rewritten. Pages carry
checksums; a file says inside what it is. One that fails is named, set aside and computed again. Two
runs at once write the same bytes under the same name. The root may be at an address: each file is
then one request.
"""

import errno
import json
import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import ArtifactError, DataError
from ..stages.columns import as_kind
from ..stages.locations import Location, is_remote, locate, same_or_below
from ..stages.remote import is_file
from .files import check_writable, names, readable, rename, whole_file

log = logging.getLogger(__name__)

FITTED = "fitted.parquet"
FORECASTS, SPENT = "forecasts", "spent"
NOT_THE_FILE = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE)
AHEAD = 8  # parts in memory beside the one that is used


@dataclass(frozen=True)
class Part:
    """A stretch of the pool.

    Attributes:
        hash: of its conversations; names what is computed from them alone.
        first: row_id of its first position.
        n_rows: usable rows.
        rows: hash of all its columns; names the file of its rows, and what is computed from their
            source or other columns. By default the same.
    """

    hash: str
    first: int
    n_rows: int
    rows: str = ""

    def __post_init__(self) -> None:
        if not self.rows:
            object.__setattr__(self, "rows", self.hash)

    def name(self, whole: bool) -> str:
        """Return the name of a file that comes from the whole rows, or from conversations alone."""
        return self.rows if whole else self.hash


@dataclass(frozen=True)
class Address:
    """Where a column lives.

    Attributes:
        folder: of its step; empty for a column of the rows.
        column: its name there.
        whole: its step reads more of the rows than the conversations.
        kind: Arrow type that an input column has in the whole pool, where a part may hold another.
    """

    folder: str
    column: str
    whole: bool = False
    kind: str = ""


class Store:
    """Reads and writes the files under one root."""

    def __init__(self, root: Location) -> None:
        self.root = root

    def has_rows(self, part: Part) -> bool:
        """Return whether a part's rows are there."""
        return is_file(self._rows(part))

    def has_all_rows(self, parts: Sequence[Part]) -> bool:
        """Return whether the rows of all parts are there."""
        if is_remote(self.root):  # one request for a thousand parts
            return {f"{part.rows}.parquet" for part in parts} <= names(self.root / "rows")
        return all(self.has_rows(part) for part in parts)

    def write_rows(self, part: Part, rows: pa.Table) -> None:
        """Keep the rows of a part."""
        self._write(self._rows(part), rows, "rows", part.rows)

    def missing(
        self, folder: str, columns: Sequence[str], parts: Sequence[Part], whole: bool = False
    ) -> dict[Part, list[str]]:
        """Return for each part the columns that are not there yet.

        Complete parts are left out, and so is a part with the content of one before it.
        """
        there = {column: names(self.root / folder / column) for column in columns}
        distinct = {part.name(whole): part for part in reversed(parts)}
        found = {
            part: [c for c in columns if f"{part.name(whole)}.parquet" not in there[c]]
            for part in parts
            if distinct[part.name(whole)] is part
        }
        return {part: names for part, names in found.items() if names}

    def write(self, folder: str, part: Part, columns: pa.Table, whole: bool = False) -> int:
        """Keep computed columns of a part, each in its own file; return the bytes of these."""
        size = 0
        for name in columns.column_names:
            path = self.root / folder / name / f"{part.name(whole)}.parquet"
            size += self._write(path, columns.select([name]), folder, part.name(whole))
        return size

    def read(self, part: Part, columns: Mapping[str, Address]) -> pa.Table:
        """Return columns of a part, under the names given.

        Raises:
            ArtifactError: a file is damaged, or not what its name says.
        """
        own = {name: address for name, address in columns.items() if not address.folder}
        found: dict[str, pa.ChunkedArray] = {}
        if own or not columns:
            read = list(dict.fromkeys(["position", *(address.column for address in own.values())]))
            rows = self._read(self._rows(part), "rows", part, whole=True, columns=read)
            position = rows["position"].cast(pa.int64())
            rows = rows.append_column("row_id", pc.add(position, part.first))
            for name, address in own.items():
                absent = address.column not in rows.column_names  # no row of this part has it
                column = _nulls(len(rows)) if absent else rows[address.column]
                found[name] = as_kind(column, address.kind)
        for name, address in columns.items():
            if address.folder:
                file = f"{part.name(address.whole)}.parquet"
                path = self.root / address.folder / address.column / file
                table = self._read(path, address.folder, part, whole=address.whole)
                if table.column_names != [address.column]:
                    raise ArtifactError(str(path), f"has the columns {table.column_names}")
                found[name] = table[address.column]
        return pa.table({name: found[name] for name in columns})

    def read_pool(
        self, parts: Sequence[Part], columns: Mapping[str, Address]
    ) -> Iterator[pa.Table]:
        """Return the columns of all parts in order; a few are read ahead, and no more."""
        with ThreadPoolExecutor(AHEAD) as readers:
            waiting: deque[Future[pa.Table]] = deque()
            for part in parts:
                if len(waiting) == AHEAD:
                    yield waiting.popleft().result()
                waiting.append(readers.submit(self.read, part, columns))
            while waiting:
                yield waiting.popleft().result()

    def write_fitted(self, folder: str, table: pa.Table) -> None:
        """Keep what a step must know of the whole pool."""
        self._write(self.root / folder / FITTED, table, folder, "pool")

    def read_fitted(self, folder: str) -> pa.Table | None:
        """Return what a step must know of the whole pool; None if it is not known yet.

        Raises:
            ArtifactError: the file is damaged.
        """
        path = self.root / folder / FITTED
        return self._open(path, folder, "pool", None) if is_file(path) else None

    def describe(self, folder: str, text: str) -> None:
        """Keep the hashed text of a step beside its columns."""
        path = self.root / folder / "step.json"
        if not is_file(path):
            self.write_json(path, json.loads(text))

    def write_json(self, path: Location, value: Mapping[str, Any]) -> None:
        """Write a JSON file whole or not at all."""
        with whole_file(path) as partial:
            partial.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")

    def set_aside(self, error: ArtifactError) -> None:
        """Rename a damaged file, so that it is computed again.

        Raises:
            DataError: it is no file of the store.
        """
        path, root = locate(error.path).absolute(), self.root.absolute()
        # a folder of the store may be a link to another disk
        if not f"{path}".startswith(f"{root}/") and not same_or_below(path, root):
            raise DataError(f"damaged file: {error}") from error
        log.warning("damaged, set aside and computed again: %s", error)
        rename(path, f"{path.name}.damaged")

    def _rows(self, part: Part) -> Location:
        return self.root / "rows" / f"{part.rows}.parquet"

    def _write(self, path: Location, table: pa.Table, what: str, part_hash: str) -> int:
        facts = {"tamis.what": what, "tamis.part": part_hash}
        with whole_file(path) as partial:
            pq.write_table(
                table.replace_schema_metadata(facts),
                partial,
                compression="zstd",
                write_page_checksum=True,
            )
            return partial.stat().st_size

    def _read(
        self,
        path: Location,
        what: str,
        part: Part,
        *,
        whole: bool,
        columns: list[str] | None = None,
    ) -> pa.Table:
        table = self._open(path, what, part.name(whole), columns)
        if len(table) != part.n_rows:
            raise ArtifactError(str(path), f"has {len(table)} rows, the part has {part.n_rows}")
        return table

    def _open(self, path: Location, what: str, part: str, columns: list[str] | None) -> pa.Table:
        try:
            with pq.ParquetFile(readable(path), page_checksum_verification=True) as file:
                table = file.read(columns)
        except FileNotFoundError:
            raise ArtifactError(str(path), "is gone") from None
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise damaged(path, error) from error
        facts = table.schema.metadata or {}
        named = facts.get(b"tamis.what"), facts.get(b"tamis.part")
        if named != (what.encode(), part.encode()):
            raise ArtifactError(str(path), f"is not {what} of part {part}")
        return table.replace_schema_metadata(None)


def damaged(path: Location, error: Exception) -> ArtifactError:
    """What is to be raised for a file that could not be read.

    Raises:
        OSError: the error itself, where it says nothing of the file: it would be set aside, and
            computed again, though it is good.
    """
    if isinstance(error, OSError) and error.errno in NOT_THE_FILE:
        raise error
    return ArtifactError(str(path), str(error).splitlines()[0])


def open_store(address: str, out: str | None = None) -> Store:
    """Return the store of a config.

    Args:
        address: of the store.
        out: where its runs go, if anywhere.

    Raises:
        ConfigError: one of them is at an address that cannot be used.
    """
    root = locate(address)
    check_writable(root, "store")
    if out is not None:
        check_writable(locate(out), "out")
    return Store(root)


def _nulls(n: int) -> pa.ChunkedArray:
    return pa.chunked_array([pa.nulls(n)])
