"""What later rounds of a stage found, for some rows of a part; beside its columns in the store.

::

    store/<use>-<key>/<round>/<part hash>/<hash of the places>.parquet

A file holds the places of its rows in the part, ascending, and the columns that were wanted. Rows
or columns asked for later get a file of their own, so that what is there is not computed again.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import ArtifactError
from ..stages.locations import Location
from .files import names, readable, whole_file
from .fingerprint import canonical, key
from .store import Store, damaged

AT = "at"


def keep_round(
    store: Store, folder: str, part: str, name: str, places: Sequence[int], columns: pa.Table
) -> int:
    """Keep the columns of some rows of a part; return the bytes of their file.

    Args:
        store: where.
        folder: of the step.
        part: the name of the part's files.
        name: of the round, as the stage says it.
        places: of the rows in the part, ascending.
        columns: one row for each.
    """
    at = pa.array(np.asarray(places, dtype=np.int32))
    file = key(canonical([columns.column_names, list(map(int, places))]))
    path = _folder(store, folder, part, name) / f"{file}.parquet"
    table = columns.add_column(0, AT, at).replace_schema_metadata(_facts(folder, part, name))
    with whole_file(path) as partial:
        pq.write_table(table, partial, compression="zstd", write_page_checksum=True)
        return partial.stat().st_size


def read_round(
    store: Store, folder: str, part: str, name: str, places: np.ndarray, columns: Sequence[str]
) -> pa.Table:
    """Return columns of some rows, in the order of `places`.

    Raises:
        ArtifactError: a file is damaged, or a row is in none.
    """
    files = _files(store, folder, part, name, columns)
    tables = [_read(path, folder, part, name, columns) for path in files]
    at = np.concatenate([table[AT].to_numpy() for table in tables] or [np.empty(0, np.int32)])
    order = np.argsort(at, kind="stable")
    found = np.searchsorted(at[order], places)
    if len(at) == 0 or (at[order[np.minimum(found, len(at) - 1)]] != places).any():
        where = _folder(store, folder, part, name)
        raise ArtifactError(str(where), "lacks rows of the round")
    whole = pa.concat_tables(tables).select(list(columns))
    return whole.take(pa.array(order[found])).combine_chunks()


def known_places(
    store: Store, folder: str, part: str, name: str, columns: Sequence[str]
) -> np.ndarray:
    """Return the places in a part of all rows whose columns of the round are there, (rows,) int32.

    Raises:
        ArtifactError: a file is damaged.
    """
    files = _files(store, folder, part, name, columns)
    found = [_read(path, folder, part, name, [])[AT].to_numpy() for path in files]
    return np.unique(np.concatenate([*found, np.empty(0, np.int32)]))


def _folder(store: Store, folder: str, part: str, name: str) -> Location:
    return store.root / folder / name / part


def _files(
    store: Store, folder: str, part: str, name: str, columns: Sequence[str]
) -> Iterator[Location]:
    """The files of a round that hold all the columns."""
    inside = _folder(store, folder, part, name)
    for path in (inside / file for file in sorted(names(inside)) if file.endswith(".parquet")):
        try:
            has = pq.read_schema(readable(path)).names
        except (pa.ArrowException, OSError) as error:
            raise damaged(path, error) from error
        if set(columns) <= set(has):
            yield path


def _facts(folder: str, part: str, name: str) -> dict[str, str]:
    return {"tamis.what": f"{folder} {name}", "tamis.part": part}


def _read(path: Location, folder: str, part: str, name: str, columns: Sequence[str]) -> pa.Table:
    try:
        with pq.ParquetFile(readable(path), page_checksum_verification=True) as file:
            table = file.read([AT, *columns])
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise damaged(path, error) from error
    facts = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    if facts != _facts(folder, part, name):
        raise ArtifactError(str(path), f"is not {name} of {folder} of part {part}")
    return table.replace_schema_metadata(None)
