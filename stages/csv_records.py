"""Delimited text to records: one mapping from the header's names to the fields of each line."""

import csv
import io
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from .records import AFTER_IT, BROKEN, CHUNK, Record

if TYPE_CHECKING:
    from _csv import Reader as CsvReader


def csv_records(stream: IO[bytes], delimiter: str, max_chars: int) -> Iterator[Record]:
    """Return the lines of delimited text as records.

    Args:
        stream: bytes of UTF-8; broken ones come along as lone surrogates.
        delimiter: comma or tab.
        max_chars: of a row; a line or field of many times more ends the file.

    Raises:
        ValueError: the header names a column twice.
    """
    limit = max(16 * max_chars, 4 * CHUNK)  # of a line and of a field, which may have many
    csv.field_size_limit(limit)
    with io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="") as text:
        reader = csv.reader(_short_lines(text, limit), delimiter=delimiter, strict=True)
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


def _short_lines(text: IO[str], limit: int) -> Iterator[str]:
    """Lines of a file.

    Raises:
        _TooLong: one is.
    """
    while line := text.readline(limit):
        if len(line) == limit and not line.endswith("\n"):
            raise _TooLong(f"a line over {limit} characters")
        yield line


class _TooLong(Exception):
    """Where the next record begins cannot be said any more."""


def _csv_lines(reader: "CsvReader") -> Iterator[tuple[int, list[str], str | None]]:
    """Each line's number, its fields, and why it has none; empty lines are left out."""
    while True:
        try:
            if fields := next(reader):
                yield reader.line_num, fields, None
        except StopIteration:
            return
        except _TooLong as error:
            yield reader.line_num + 1, [], f"file breaks off here: {error}"
            return
        except csv.Error as error:
            if "field limit" in str(error):  # perhaps a quote that is never closed
                yield reader.line_num, [], f"file breaks off here: {error}; {AFTER_IT}"
                return
            yield reader.line_num, [], f"bad CSV: {error}"
        except BROKEN as error:
            yield reader.line_num + 1, [], f"file breaks off here: {error}"
            return
