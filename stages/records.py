"""What is read from an input: one record after the other, each with a value or why it has none."""

import gzip
import zlib
from dataclasses import dataclass
from typing import Any

CHUNK = 1 << 20  # bytes or characters that are read at a time
BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, OSError)  # a truncated or damaged archive
AFTER_IT = "nothing after it is read"


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
