"""What later rounds of a stage found, for some rows of a part; beside its columns in the store.

::

    store/<use>-<key>/round-<number>/<part hash>/<hash of the places>.parquet

A file holds the places of its rows in the part, ascending, and all columns of the round. Rows
asked for later get a file of their own, so that a row is computed once, whoever asked for it.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import ArtifactError
from .fingerprint import canonical, key
from .store import Store, whole_file

AT = "at"

log = logging.getLogger(__name__)


def keep_round(
    store: Store, folder: str, part: str, number: int, places: Sequence[int], columns: pa.Table
) -> None:
    """Keep the columns of some rows of a part.

    Args:
        store: where.
        folder: of the step.
        part: the name of the part's files.
        number: of the round, from 1.
        places: of the rows in the part, ascending.
        columns: one row for each.
    """
    at = pa.array(np.asarray(places, dtype=np.int32))
    name = key(canonical(list(map(int, places))))
    path = _folder(store, folder, part, number) / f"{name}.parquet"
    table = columns.add_column(0, AT, at).replace_schema_metadata(_facts(folder, part, number))
    with whole_file(path) as partial:
        pq.write_table(table, partial, compression="zstd", write_page_checksum=True)


def read_round(
    store: Store, folder: str, part: str, number: int, places: np.ndarray, columns: Sequence[str]
) -> pa.Table:
    """Return columns of some rows, in the order of `places`.

    Raises:
        ArtifactError: a file is damaged, or a row is in none.
    """
    tables = [
        _read(path, folder, part, number, columns) for path in _files(store, folder, part, number)
    ]
    at = np.concatenate([table[AT].to_numpy() for table in tables] or [np.empty(0, np.int32)])
    order = np.argsort(at, kind="stable")
    found = np.searchsorted(at[order], places)
    if len(at) == 0 or (at[order[np.minimum(found, len(at) - 1)]] != places).any():
        where = _folder(store, folder, part, number)
        raise ArtifactError(str(where), "lacks rows of the round")
    whole = pa.concat_tables(tables).select(list(columns))
    return whole.take(pa.array(order[found])).combine_chunks()


def known_places(store: Store, folder: str, part: str, number: int) -> np.ndarray:
    """Return the places in a part of all rows that the round was made for, (rows,) int32."""
    files = _files(store, folder, part, number)
    found = [_read(path, folder, part, number, [])[AT].to_numpy() for path in files]
    return np.unique(np.concatenate([*found, np.empty(0, np.int32)]))


def _folder(store: Store, folder: str, part: str, number: int) -> Path:
    return store.root / folder / f"round-{number}" / part


def _files(store: Store, folder: str, part: str, number: int) -> Iterator[Path]:
    return iter(sorted(_folder(store, folder, part, number).glob("*.parquet")))


def _facts(folder: str, part: str, number: int) -> dict[str, str]:
    return {"tamis.what": f"{folder} round {number}", "tamis.part": part}


def _read(path: Path, folder: str, part: str, number: int, columns: Sequence[str]) -> pa.Table:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read([AT, *columns])
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ArtifactError(str(path), str(error).splitlines()[0]) from error
    facts = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    if facts != _facts(folder, part, number):
        raise ArtifactError(str(path), f"is not round {number} of {folder} of part {part}")
    return table.replace_schema_metadata(None)
