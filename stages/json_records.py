"""JSON lines and JSON arrays to records, in bounded memory however large the file is."""

import io
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from .records import AFTER_IT, BROKEN, CHUNK, Record

BETWEEN = re.compile(r"[\s,]*")  # records of an array
AFTER = re.compile(r"[\s,\]]")
MARKS = re.compile(r'["{}\[\]]')
IN_TEXT = re.compile(r'["\\]')


def json_lines(stream: IO[bytes], max_chars: int) -> Iterator[Record]:
    """Return the value of every line with one; a line over 4 x `max_chars` bytes is not read."""
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


def starts_with_bracket(stream: IO[bytes]) -> bool:
    """Return whether a file is one array rather than lines."""
    assert isinstance(stream, io.BufferedReader)
    try:
        start = stream.peek(4096)
    except BROKEN:
        return False  # reported when it is read
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def json_array(stream: IO[bytes], max_chars: int) -> Iterator[Record]:
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
            extent = Extent()
            if problem is not None and (after := extent.feed(window, at)) is not None:
                place, want = place + 1, CHUNK
                yield Record(place, None, f"bad JSON: {problem}", window[at : at + 2000])
                at = after
                continue
            if not ended and len(window) - at > max(16 * max_chars, 4 * CHUNK):
                start, size = window[at : at + 2000], len(window) - at
                after = None
                while after is None and broken is None and not ended:
                    window, broken = _more(text, CHUNK)
                    ended, after = not window, extent.feed(window, 0)
                place, at, want = place + 1, after or 0, CHUNK
                yield Record(place, None, f"too long: over {size} characters", start)
                continue
            if ended:
                broken = f"bad JSON: {problem or 'no comma'}; {AFTER_IT}"
                break
            more, broken = _more(text, want)
            window, at, want, ended = window[at:] + more, 0, 2 * want, not more
        yield Record(place + 1, None, broken, window[at : at + 2000])


class Extent:
    """Finds where a JSON object ends by its brackets and quotes alone, whatever else is wrong."""

    def __init__(self) -> None:
        self.depth, self.in_text, self.skip = 0, False, False

    def feed(self, text: str, at: int) -> int | None:
        """Return the place after the object's end, or None if it goes on after this text."""
        if self.skip:
            at, self.skip = at + 1, False
        while found := (IN_TEXT if self.in_text else MARKS).search(text, at):
            mark, at = found.group(), found.end()
            if mark == "\\":
                self.skip = at >= len(text)
                at += 1
            elif mark == '"':
                self.in_text = not self.in_text
            else:
                self.depth += 1 if mark in "{[" else -1
                if self.depth <= 0:
                    return at if self.depth == 0 and mark == "}" else None
        return None


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
