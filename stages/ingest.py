"""Any instruction data to canonical rows, cut into parts; a bad row is set aside with its reason.

`row_id` is the zero-based position in the input, over all sources in order, rejected rows counted.
Part i holds the positions from i x `part_rows` on, so rows that are appended change only the last
part. A part is named by the hash of its content, which leaves out where in the pool it stands; all
that is computed for it is kept under that name.
"""

import base64
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

import pyarrow as pa
import xxhash

from ..errors import DataError
from .base import ROWS
from .formats import FORMATS, BadRecord, Conversation, find_format, read_record
from .hub import read_dataset_folder, read_hub
from .locations import locate
from .readers import find_files, is_dataset_folder, read_file
from .records import Record
from .source import Source

REASON_CHARS = 300
PEEK = 100  # records looked at to find the format of a source,
PEEK_BROKEN = 10_000  # or more until one can be read at all
SPOKEN = ("content", "tool_calls")
REJECTED = pa.schema(
    [
        ("row_id", pa.int64()),
        ("source", pa.string()),
        ("file", pa.int32()),  # number of the file within its source
        ("line", pa.int64()),
        ("reason", pa.string()),
        ("raw", pa.string()),
    ]
)


@dataclass
class RawPart:
    """A stretch of the input: its rows and what was rejected.

    Attributes:
        first: position of its first record.
        rows: canonical rows with `position` in place of `row_id`.
        rejected: as `REJECTED`.
        n: records, rejected ones included.
    """

    first: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    n: int = 0


def ingest(
    sources: Iterable[tuple[Source, str]], *, part_rows: int, max_chars: int
) -> Iterator[RawPart]:
    """Return the parts of a pool, one after the other.

    Args:
        sources: each with the commit of a hub dataset, or "" for files.
        part_rows: positions per part.
        max_chars: a row with more characters is rejected.

    Raises:
        DataError: a source that cannot be read at all, or has no known format.
    """
    part = RawPart(0)
    for source, revision in sources:
        for file, record, parts in shaped(source, revision, max_chars):
            if part.n == part_rows:
                yield part
                part = RawPart(part.first + part.n)
            _add(part, source, (file, record), parts, max_chars)
    if part.n:
        yield part


def shaped(
    source: Source, revision: str, max_chars: int
) -> Iterator[tuple[int, Record, Mapping[str, tuple[str, ...]]]]:
    """Yield the records of a source: number of the file, record, which fields play which part."""
    yield from _with_format(source, _chosen(source, _records(source, revision, max_chars)))


def rows_table(part: RawPart) -> pa.Table:
    """Return the rows of a part as a table: `position` and the columns of `ROWS` and `data.*`."""
    fields = [pa.field("position", pa.int32()), *list(ROWS)[1:]]
    columns = {f.name: pa.array([row[f.name] for row in part.rows], f.type) for f in fields}
    for name in dict.fromkeys(name for row in part.rows for name in row["other"]):
        columns[f"data.{name}"] = _natural([row["other"].get(name) for row in part.rows])
    return pa.table(columns)


def rejected_table(part: RawPart) -> pa.Table:
    """Return what was rejected of a part, as `REJECTED`."""
    return pa.Table.from_pylist(part.rejected, schema=REJECTED)


def part_hashes(part: RawPart, version: int) -> tuple[str, str]:
    """Return two hashes (xxh3, 128 bits) of a part: of its conversations, and of all its columns.

    What is computed from conversations alone is not lost when a source gets another name, or the
    rows another column.

    Args:
        part: the part.
        version: of how rows are read.
    """
    conversations, whole = xxhash.xxh3_128(), xxhash.xxh3_128()
    for checksum in (conversations, whole):
        checksum.update(_json([version, len(part.rows)]))
    for row in part.rows:
        conversations.update(_json([row["position"], row["sample_id"]]))
        whole.update(_json([row["position"], row["sample_id"], row["source"], row["other"]]))
    return conversations.hexdigest(), whole.hexdigest()


def sample_id(conversation: Conversation) -> str:
    """Return the hash of a conversation: its messages, tools and the place of the `input`.

    Raises:
        BadRecord: text that is not UTF-8.
    """
    content = [conversation.messages, conversation.tools, conversation.input_start]
    return xxhash.xxh3_128_hexdigest(_utf8(content))


def _records(source: Source, revision: str, max_chars: int) -> Iterator[tuple[int, Record]]:
    path = locate(source.path)
    if revision:
        records = read_hub(source.path, source.subset, source.split, revision)
        yield from ((0, record) for record in records)
    elif is_dataset_folder(path):
        yield from ((0, record) for record in read_dataset_folder(path, source.split))
    else:
        for number, file in enumerate(find_files(path)):
            yield from ((number, record) for record in read_file(file, max_chars))


def _chosen(source: Source, records: Iterator[tuple[int, Record]]) -> Iterator[tuple[int, Record]]:
    """The records that the source asks for.

    Raises:
        DataError: a place past the last record.
    """
    if source.rows is None:
        yield from itertools.islice(records, source.limit)
        return
    wanted, n = list(reversed(source.rows)), 0
    for n, record in enumerate(records, 1):
        if n - 1 == wanted[-1]:
            yield record
            wanted.pop()
            if not wanted:
                return
    raise DataError(f"{source.place}.rows: no row {wanted[-1]}; there are {n}, the first is 0")


def _with_format(
    source: Source, records: Iterator[tuple[int, Record]]
) -> Iterator[tuple[int, Record, Mapping[str, tuple[str, ...]]]]:
    """Add to each record which fields play which part, found from the first few."""
    first, values = list[tuple[int, Record]](), list[Mapping[str, Any]]()
    for item in records:
        first.append(item)
        if isinstance(item[1].value, Mapping):
            values.append(item[1].value)
        if len(first) >= (PEEK if values else PEEK_BROKEN):
            break
    if len(first) >= PEEK_BROKEN and not values:
        why = first[0][1].error or "not an object"
        raise DataError(f"{source.place}: none of the first {PEEK_BROKEN} rows is one ({why})")
    parts = _parts(source, values)
    for file, record in itertools.chain(first, records):
        yield file, record, parts


def _parts(source: Source, values: list[Mapping[str, Any]]) -> Mapping[str, tuple[str, ...]]:
    named = {part: (name,) for part, name in (source.columns or {}).items()}
    if source.format != "auto":
        return FORMATS[source.format] | named
    if named:
        return named
    found = next((name for value in values if (name := find_format(value))), None)
    if found is None and values:
        raise DataError(
            f"{source.place}: rows with the fields {', '.join(map(str, values[0]))} have no "
            f"known shape ({', '.join(FORMATS)}); say which field is which, for example "
            f"columns: {{instruction: question, answer: reply}}"
        )
    return FORMATS[found] if found else {}


def _add(
    part: RawPart,
    source: Source,
    item: tuple[int, Record],
    parts: Mapping[str, tuple[str, ...]],
    max_chars: int,
) -> None:
    """Add one record to a part, as a row or as rejected."""
    file, record = item
    try:
        part.rows.append(
            {"position": part.n, "source": source.name, **read_row(record, parts, max_chars)}
        )
    except BadRecord as bad:
        rejected = {"row_id": part.first + part.n, "source": source.name, "file": file}
        rejected |= {"line": record.place, "reason": _clean(str(bad))[:REASON_CHARS]}
        part.rejected.append(rejected | {"raw": _clean(record.raw or _shown(record.value))})
    part.n += 1


def read_row(
    record: Record, parts: Mapping[str, tuple[str, ...]], max_chars: int
) -> dict[str, Any]:
    """Return one record as a row, without its position and source.

    Raises:
        BadRecord: the reason why it is none.
    """
    if record.error is not None:
        raise BadRecord(record.error)
    conversation = read_record(record.value, parts)
    texts = [message.get(part, "") for message in conversation.messages for part in SPOKEN]
    n_chars = sum(map(len, texts)) + len(conversation.tools or "")
    if n_chars > max_chars:
        raise BadRecord(f"too long: {n_chars} characters, max_chars is {max_chars}")
    other = {name: _plain(value) for name, value in conversation.other.items()}
    row = {"sample_id": sample_id(conversation), "other": other}
    _utf8(other)
    names = ("messages", "tools", "input_start")
    return row | {name: getattr(conversation, name) for name in names}


def _plain(value: object) -> object:
    """A field's value as a number, truth value or text; anything nested as JSON text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | Mapping):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=_spelled)
    return _spelled(value)


def _spelled(value: object) -> str:
    """Text of what JSON does not have: dates in ISO 8601, bytes as UTF-8 or else base64."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return str(value)


def _natural(values: list[object]) -> pa.Array:
    """One Arrow array of the values; where they are of several kinds, their text."""
    kinds = {type(value) for value in values} - {type(None)}
    try:
        if kinds == {int, float}:  # Arrow itself refuses integers beyond 2^53 among them
            return pa.array([v if v is None else float(v) for v in values])  # type: ignore[arg-type]
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
        return pa.array(texts, pa.string())


def _utf8(value: object) -> bytes:
    try:
        return _json(value)
    except UnicodeEncodeError as error:
        raise BadRecord("not UTF-8: a broken byte or a lone surrogate") from error


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=_spelled)[:2000]


def _clean(text: str) -> str:
    """Text that can be stored as UTF-8."""
    return text.encode("utf-8", "replace").decode()
