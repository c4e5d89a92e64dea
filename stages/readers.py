"""Files, folders and datasets to records, one after the other, without holding a file in memory.

A record that cannot be read (bad JSON, broken UTF-8, too long, a wrong number of fields) comes back
with the reason instead of a value. Where a file breaks off so that nothing after can be read (the
middle of a JSON array, a truncated archive), one last record says so.
"""

import gzip
import io
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from ..errors import DataError
from .csv_records import csv_records
from .json_records import json_array, json_lines, starts_with_bracket
from .locations import Location, is_remote
from .records import CHUNK, Record
from .remote import files_below, files_like, is_dir, is_file, open_bytes

TEXTS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv")
SUFFIXES = (*TEXTS, ".parquet", ".arrow", ".feather")
COMPRESSED = (".gz", ".zst")
BATCH_ROWS = 1024


def find_files(path: Location) -> list[Location]:
    """Return the data files that a path names: a file, a folder or a glob, sorted by name.

    Of a curated dataset, which holds its rows three times over, only the Parquet files are taken.

    Raises:
        DataError: nothing there, or nothing that can be read.
        RemoteError: an address does not answer.
    """
    if is_file(path):
        files = [path]
    elif is_dir(path / "data") and is_file(path / "arrow/train/state.json"):
        files = [file for file in files_below(path / "data") if file.suffix == ".parquet"]
    elif is_dir(path):
        found = [file for file in files_below(path) if kind_of(file)]
        own = len(path.parts)
        files = [f for f in found if not any(part.startswith(".") for part in f.parts[own:])]
    else:
        files = files_like(path) if re.search(r"[*?\[]", str(path)) else []
    if not files:
        raise DataError(f"{path}: no data there (files that are read: {', '.join(SUFFIXES)})")
    for file in files:
        if not kind_of(file):
            raise DataError(
                f"{file}: unknown kind of file; known are {', '.join(SUFFIXES)}, "
                f"and the first {len(TEXTS)} also as {' or '.join(COMPRESSED)}"
            )
    return files


def is_dataset_folder(path: Location) -> bool:
    """Return whether a folder was written by `datasets.save_to_disk`."""
    return any(is_file(path / name) for name in ("state.json", "dataset_dict.json"))


def read_file(path: Location, max_chars: int) -> Iterator[Record]:
    """Return the records of one file, by its suffix.

    Args:
        path: a file of one of `SUFFIXES`, perhaps compressed.
        max_chars: longer lines are not read into memory.

    Raises:
        DataError: the file is not what its suffix says.
    """
    kind = kind_of(path)
    try:
        if kind == ".parquet":
            file = pq.ParquetFile(open_bytes(path) if is_remote(path) else path)
            yield from read_tables(batch for batch in file.iter_batches(BATCH_ROWS))
        elif kind in (".arrow", ".feather"):
            yield from read_tables(_arrow_batches(path))
        else:
            with _open(path) as stream:
                if kind in (".csv", ".tsv"):
                    yield from csv_records(stream, "\t" if kind == ".tsv" else ",", max_chars)
                elif kind == ".json" and starts_with_bracket(stream):
                    yield from json_array(stream, max_chars)
                else:
                    yield from json_lines(stream, max_chars)
    except (pa.ArrowException, OSError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise DataError(f"{path}: not a readable {kind} file: {first_line}") from error


def read_tables(batches: Iterable[pa.RecordBatch | pa.Table]) -> Iterator[Record]:
    """Return the rows of Arrow batches as records."""
    place = 0
    for batch in batches:
        if twice := sorted({n for n in batch.schema.names if batch.schema.names.count(n) > 1}):
            raise ValueError(f"it names the column {twice[0]!r} more than once")
        for value in _values(batch):
            place += 1
            if isinstance(value, Exception):
                yield Record(place, None, f"unreadable value: {value}")
            else:
                yield Record(place, value)


def _values(batch: pa.RecordBatch | pa.Table) -> Iterator[Any]:
    """The rows of a batch as Python values; one that has no such value as the error it gives."""
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):  # broken UTF-8, a date beyond the year 9999
        for i in range(len(batch)):
            try:
                yield batch.slice(i, 1).to_pylist()[0]
            except (ValueError, OverflowError) as error:
                yield error


def kind_of(path: Location) -> str | None:
    """Return the suffix that says how a file is read, without that of its compression."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] in COMPRESSED
    if packed:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in (TEXTS if packed else SUFFIXES) else None


def _open(path: Location) -> IO[bytes]:
    """Open a file for reading bytes, unpacked as they are read."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        source = open_bytes(path) if is_remote(path) else path
        return io.BufferedReader(gzip.open(source, "rb"), CHUNK)
    if suffix == ".zst":
        file = pa.PythonFile(open_bytes(path), "r") if is_remote(path) else pa.OSFile(str(path))
        return io.BufferedReader(pa.CompressedInputStream(file, "zstd"), CHUNK)
    return open_bytes(path, CHUNK)


def _arrow_batches(path: Location) -> Iterator[pa.RecordBatch]:
    """Batches of an IPC file (Feather) or stream."""
    remote = is_remote(path)
    with pa.PythonFile(open_bytes(path), "r") if remote else pa.memory_map(str(path)) as source:
        if source.read(6) == b"ARROW1":
            source.seek(0)
            reader = pa.ipc.open_file(source)
            for i in range(reader.num_record_batches):
                batch = reader.get_batch(i)
                batch.validate(full=True)  # an offset beyond the file would end the process
                yield batch
        else:
            source.seek(0)
            for batch in pa.ipc.open_stream(source):
                batch.validate(full=True)
                yield batch
