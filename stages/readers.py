"""Files, folders and datasets to records, one after the other, without holding a file in memory.

A record that cannot be read (bad JSON, broken UTF-8, too long, a wrong number of fields) comes back
with the reason instead of a value. Where a file breaks off so that nothing after can be read (the
middle of a JSON array, a truncated archive), one last record says so.
"""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from ..errors import DataError

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

SUFFIXES = (".json", ".jsonl", ".ndjson", ".parquet", ".csv", ".tsv", ".arrow", ".feather")
COMPRESSED = (".gz", ".zst")
BATCH_ROWS = 1024
CHUNK = 1 << 20
BETWEEN = re.compile(r"[\s,]*")  # records of an array
AFTER = re.compile(r"[\s,\]]")
BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, OSError)  # a truncated or damaged archive


@dataclass(frozen=True)
class Record:
    """One record of an input.

    Attributes:
        place: line of the file (1-based), or the record's number in it.
        value: the record, or None if it could not be read.
        error: why not.
        raw: the start of its text as it stands in the file.
    """

    place: int
    value: Any
    error: str | None = None
    raw: str = ""


def find_files(path: Path) -> list[Path]:
    """Return the data files that a path names: a file, a folder or a glob, sorted by name.

    Of a curated dataset, which holds its rows three times over, only the Parquet files are taken.

    Raises:
        DataError: nothing there, or nothing that can be read.
    """
    if path.is_file():
        files = [path]
    elif (path / "data").is_dir() and (path / "arrow/train/state.json").is_file():
        files = sorted((path / "data").glob("*.parquet"))
    elif path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if kind_of(file) and file.is_file()]
    else:
        anchor = Path(path.anchor) if path.anchor else Path()
        pattern = str(path.relative_to(anchor))
        files = sorted(anchor.glob(pattern)) if re.search(r"[*?\[]", pattern) else []
        files = [file for file in files if file.is_file()]
    if not files:
        raise DataError(f"{path}: no data there (files that are read: {', '.join(SUFFIXES)})")
    for file in files:
        if not kind_of(file):
            raise DataError(
                f"{file}: unknown kind of file; known are {', '.join(SUFFIXES)}, "
                f"each also as {' or '.join(COMPRESSED)}"
            )
    return files


def is_dataset_folder(path: Path) -> bool:
    """Return whether a folder was written by `datasets.save_to_disk`."""
    return any((path / name).is_file() for name in ("state.json", "dataset_dict.json"))


def read_file(path: Path, max_chars: int) -> Iterator[Record]:
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
            yield from read_tables(batch for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS))
        elif kind in (".arrow", ".feather"):
            yield from read_tables(_arrow_batches(path))
        else:
            with _open(path) as stream:
                if kind in (".csv", ".tsv"):
                    yield from _csv(stream, "\t" if kind == ".tsv" else ",", max_chars)
                elif kind == ".json" and _starts_with_bracket(stream):
                    yield from _json_array(stream, max_chars)
                else:
                    yield from _json_lines(stream, max_chars)
    except (pa.ArrowException, OSError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise DataError(f"{path}: not a readable {kind} file: {first_line}") from error


def read_tables(batches: Iterable[pa.RecordBatch | pa.Table]) -> Iterator[Record]:
    """Return the rows of Arrow batches as records."""
    place = 0
    for batch in batches:
        for value in batch.to_pylist():
            place += 1
            yield Record(place, value)


def kind_of(path: Path) -> str | None:
    """Return the suffix that says how a file is read, without that of its compression."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in SUFFIXES else None


def _open(path: Path) -> IO[bytes]:
    """Open a file for reading bytes, unpacked as they are read."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return io.BufferedReader(gzip.open(path, "rb"), CHUNK)
    if suffix == ".zst":
        stream = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        return io.BufferedReader(stream, CHUNK)
    return path.open("rb", CHUNK)


def _arrow_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Batches of an IPC file (Feather) or stream."""
    with pa.memory_map(str(path)) as source:
        if source.read(6) == b"ARROW1":
            source.seek(0)
            reader = pa.ipc.open_file(source)
            for i in range(reader.num_record_batches):
                yield reader.get_batch(i)
        else:
            source.seek(0)
            yield from pa.ipc.open_stream(source)


def _json_lines(stream: IO[bytes], max_chars: int) -> Iterator[Record]:
    for place, line in _lines(stream, 4 * max_chars):
        if isinstance(line, Record):
            yield line
        elif line.strip():
            yield _parse(line, place)


def _lines(stream: IO[bytes], limit: int) -> Iterator[tuple[int, bytes | Record]]:
    """Numbered lines; one over `limit` bytes is skipped in pieces, never held whole."""
    place = 0
    try:
        while line := stream.readline(limit):
            place += 1
            if len(line) < limit or line.endswith(b"\n"):
                yield place, line
                continue
            while (more := stream.readline(limit)) and not more.endswith(b"\n"):
                pass
            yield place, Record(place, None, f"too long: a line over {limit} bytes", _cut(line))
    except BROKEN as error:
        yield place + 1, Record(place + 1, None, f"file breaks off here: {error}")


def _parse(line: bytes, place: int) -> Record:
    try:
        return Record(place, json.loads(line.decode("utf-8-sig" if place == 1 else "utf-8")))
    except UnicodeDecodeError as error:
        return Record(place, None, f"not UTF-8: at byte {error.start + 1}", _cut(line))
    except (ValueError, RecursionError) as error:
        return Record(place, None, f"bad JSON: {error or 'nested too deeply'}", _cut(line))


def _cut(line: bytes, length: int = 2000) -> str:
    return line[: 4 * length].decode("utf-8", "replace")[:length].rstrip("\r\n")


def _starts_with_bracket(stream: IO[bytes]) -> bool:
    assert isinstance(stream, io.BufferedReader)
    try:
        start = stream.peek(4096)
    except BROKEN:
        return False  # reported when it is read
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def _json_array(stream: IO[bytes], max_chars: int) -> Iterator[Record]:
    """Records of a JSON array, decoded one at a time from a sliding window over the file.

    Broken UTF-8 is carried along as lone surrogates, which ingest rejects row by row.
    """
    with io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape") as text:
        window, broken = _more(text, CHUNK)
        at, place, want = window.find("[") + 1, 0, CHUNK
        ended = False
        while broken is None:
            at = BETWEEN.match(window, at).end()  # type: ignore[union-attr]
            if window[at : at + 1] == "]":
                if rest := _after_array(text, window[at + 1 :]):
                    reason = "bad JSON: text after the end of the array, which is not read"
                    yield Record(place + 1, None, reason, rest[:2000])
                return
            value, end, problem = _decode(window, at)
            if problem is None and (ended or AFTER.match(window, end)):
                place, at, want = place + 1, end, CHUNK
                yield Record(place, value)
                continue
            if ended or len(window) - at > max(16 * max_chars, 4 * CHUNK):
                broken = f"bad JSON: {problem or 'no comma'}; nothing after it is read"
                break
            more, broken = _more(text, want)
            window, at, want, ended = window[at:] + more, 0, 2 * want, not more
        yield Record(place + 1, None, broken, window[at : at + 2000])


def _after_array(text: IO[str], rest: str) -> str:
    """What stands in a file after its array, if anything but white space does."""
    while not (rest := rest.strip()):
        rest, broken = _more(text, CHUNK)
        if not rest:
            return broken or ""
    return rest


def _more(text: IO[str], n_chars: int) -> tuple[str, str | None]:
    """The next characters, and why there are none in a file that breaks off."""
    try:
        return text.read(n_chars), None
    except BROKEN as error:
        return "", f"file breaks off here: {error}"


def _decode(window: str, at: int) -> tuple[Any, int, str | None]:
    """The value at a place, where it ends, and why there is none."""
    try:
        return *json.JSONDecoder().raw_decode(window, at), None
    except (ValueError, RecursionError) as error:
        return None, at, str(error) or "nested too deeply"


def _csv(stream: IO[bytes], delimiter: str, max_chars: int) -> Iterator[Record]:
    csv.field_size_limit(min(4 * max_chars, 2**31 - 1))
    with io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="") as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        header: list[str] | None = None
        for line, fields, broken in _csv_lines(reader):
            if broken is not None:
                yield Record(line, None, broken)
            elif header is None:
                header = fields
                if twice := sorted({name for name in fields if name and fields.count(name) > 1}):
                    raise ValueError(f"its header names the column {twice[0]!r} more than once")
            elif len(fields) != len(header):
                reason = f"wrong number of fields: {len(fields)}, the header has {len(header)}"
                yield Record(line, None, reason, delimiter.join(fields)[:2000])
            else:
                yield Record(line, dict(zip(header, fields, strict=True)))


def _csv_lines(reader: "CsvReader") -> Iterator[tuple[int, list[str], str | None]]:
    """Each line's number, its fields, and why it has none; empty lines are left out."""
    while True:
        try:
            if fields := next(reader):
                yield reader.line_num, fields, None
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, [], f"bad CSV: {error}"
        except BROKEN as error:
            yield reader.line_num + 1, [], f"file breaks off here: {error}"
            return
