"""A finished run, opened again: what it recorded, its ledger, and the rows and columns behind it.

Ledger, config and manifest lie in the run's folder; messages and computed columns in its store,
which may have been pruned since. What reports, explanations and comparisons read comes from here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import ArtifactError, ConfigError, DataError
from ..stages.base import ROWS
from ..stages.hub import open_dataset_folder
from ..stages.locations import Location, locate
from ..stages.remote import is_file
from .config import Config
from .files import readable
from .folder import CONFIG, MANIFEST, REPORT, RunFolder
from .load import load
from .notebook import as_html
from .pool import Pool, find_pool
from .selection import KEPT
from .store import Address, Store

if TYPE_CHECKING:
    from ..stages.hub import Dataset


@dataclass(frozen=True)
class Finished:
    """A run with a manifest.

    Attributes:
        folder: where it lives.
        allow_code: whether files of the user's that its config names may run.
    """

    folder: Location
    allow_code: bool = False

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """What it recorded."""
        return RunFolder(self.folder).manifest

    @cached_property
    def config(self) -> Config:
        """Its resolved config."""
        return load(str(self.folder / CONFIG), allow_code=self.allow_code)

    @cached_property
    def ledger(self) -> pa.Table:
        """One line per input row, ordered by row_id."""
        return self._table("ledger.parquet")

    @cached_property
    def rejected(self) -> pa.Table:
        """What could not be read: row_id, source, file, line, reason, text."""
        return self._table("rejected.parquet")

    @cached_property
    def kept(self) -> pa.Table:
        """The lines of the ledger of the rows that it kept."""
        return self.ledger.filter(pc.equal(self.ledger["outcome"], KEPT))

    @property
    def curated(self) -> "Dataset":
        """The rows that it kept, with their scores, as a dataset of `datasets`.

        Raises:
            DataError: they are no longer there.
        """
        found = open_dataset_folder(self.folder / "curated" / "arrow" / "train")
        return cast("Dataset", found)

    def report(self) -> Location:
        """Return where its HTML page lies; it is drawn where there is none yet.

        Raises:
            ArtifactError: the ledger is damaged.
        """
        from .report.report import write_report  # which reads finished runs in turn

        page = self.folder / REPORT
        return page if is_file(page) else write_report(self)

    def _repr_html_(self) -> str:
        return as_html(self.folder, self.manifest)

    @cached_property
    def scorers(self) -> tuple[str, ...]:
        """The names of its scorers, in the order of the ledger."""
        names = self.ledger.column_names
        return tuple(
            name.removesuffix(".percentile") for name in names if name.endswith(".percentile")
        )

    @cached_property
    def store(self) -> Store:
        """Where its columns live."""
        return Store(locate(self.manifest["config"]["store"]))

    @cached_property
    def pool(self) -> Pool:
        """Its usable rows.

        Raises:
            DataError: they are no longer in the store.
        """
        return self._pool(self.manifest["pool"]["key"], "the rows of this run")

    @property
    def columns(self) -> Mapping[str, Any]:
        """Where its computed columns live in the store, by full name.

        Raises:
            ConfigError: it was made by a version that did not note this.
        """
        if "columns" not in self.manifest:
            raise ConfigError(
                f"{str(self.folder)!r} was made by an earlier version of Tamis, which did not note "
                f"its columns; run its {CONFIG} again"
            )
        columns: Mapping[str, Any] = self.manifest["columns"]
        return columns

    def target(self, name: str) -> Pool:
        """Return the rows of one of its targets.

        Raises:
            DataError: they are no longer in the store.
        """
        return self._pool(self.manifest["targets"][name]["key"], f"the rows of target {name!r}")

    def has_column(self, name: str) -> bool:
        """Return whether a column was computed, or came with the rows."""
        return name in self.columns or name in self.pool.columns

    def line(self, row_id: int) -> dict[str, Any]:
        """Return what the ledger says of a row.

        Raises:
            DataError: there is no such row.
        """
        found = self.ledger.filter(pc.equal(self.ledger["row_id"], row_id)).to_pylist()
        if not found:
            raise DataError(f"no row {row_id} in this run; there are 0 to {len(self.ledger) - 1}")
        line: dict[str, Any] = found[0]
        return line

    def rows(
        self, row_ids: Sequence[int], names: Sequence[str] = ("messages",), of: Pool | None = None
    ) -> pa.Table:
        """Return columns of some usable rows; only the parts they lie in are read.

        Args:
            row_ids: distinct, in the order wanted.
            names: full names of columns, `messages`, `source` or `data.…` among them.
            of: a target; by default the pool.

        Returns:
            `row_id` and the columns, a line for each of the rows.

        Raises:
            DataError: a row is not usable, or nobody made a column.
            ArtifactError: a file is gone or damaged.
        """
        pool = of or self.pool
        wanted = np.asarray(row_ids, dtype=np.int64)
        places = np.searchsorted([part.first for part in pool.parts], wanted, side="right") - 1
        parts = [pool.parts[place] for place in np.unique(places[places >= 0])]
        columns = self._addresses(["row_id", *names], pool)
        tables = [
            table.filter(pc.is_in(table["row_id"], pa.array(wanted)))
            for table in self.store.read_pool(parts, columns)
        ]
        if not tables:
            return pa.table({name: pa.nulls(0) for name in columns})
        found = pa.concat_tables(tables, promote_options="default")
        at = {row: place for place, row in enumerate(found["row_id"].to_pylist())}
        if missing := [int(row) for row in wanted if row not in at]:
            raise DataError(f"row {missing[0]} is not among the usable rows of this run")
        return found.take(pa.array([at[int(row)] for row in wanted], pa.int64()))

    def tables(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Yield `row_id` and columns of the whole pool, part by part.

        Raises:
            DataError: nobody made a column.
            ArtifactError: a file is gone or damaged.
        """
        columns = self._addresses(["row_id", *names], self.pool)
        return self.store.read_pool(self.pool.parts, columns)

    def kept_tables(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Yield `row_id` and columns of the kept rows, part by part; other parts are not read.

        Raises:
            DataError: nobody made a column.
            ArtifactError: a file is gone or damaged.
        """
        kept = self.kept["row_id"].combine_chunks()
        firsts = [part.first for part in self.pool.parts]
        places = np.unique(np.searchsorted(firsts, kept.to_numpy(), side="right") - 1)
        parts = [self.pool.parts[place] for place in places]
        for table in self.store.read_pool(parts, self._addresses(["row_id", *names], self.pool)):
            yield table.filter(pc.is_in(table["row_id"], kept))

    def _addresses(self, names: Sequence[str], pool: Pool) -> dict[str, Address]:
        made = self.columns
        found = {}
        for name in names:
            if name in made:
                found[name] = Address(**made[name])
            elif name not in pool.columns and name not in ROWS.names:
                known = ", ".join(sorted(made)) or "none"
                raise DataError(f"this run has no column {name}; it computed {known}")
            else:
                found[name] = pool.address(name)
        return found

    def _pool(self, key: str, what: str) -> Pool:
        pool = find_pool(self.store, key)
        if pool is None:
            raise DataError(
                f"{what} are not in the store {str(self.store.root.absolute())!r}; a relative "
                f"store is looked for in the current folder"
            )
        return pool

    def _table(self, name: str) -> pa.Table:
        try:
            return pq.read_table(readable(self.folder / name))
        except (pa.ArrowException, OSError) as error:
            raise ArtifactError(str(self.folder / name), str(error).splitlines()[0]) from error


def open_run(run: str | PathLike[str], allow_code: bool = False) -> Finished:
    """Return a finished run.

    Args:
        run: its folder.
        allow_code: as for the run itself.

    Raises:
        ConfigError: no finished run lies there.
    """
    path = fspath(run)
    folder = locate(path)
    if not is_file(folder / MANIFEST):
        raise ConfigError(f"{path!r} is not the folder of a finished run: it has no {MANIFEST}")
    return Finished(folder, allow_code)
