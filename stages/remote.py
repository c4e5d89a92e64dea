"""Files here or at an address: how they are found and read, and how long one goes on trying.

An operation at an address that fails is tried again, each time with a line in the log, until
`WAITS_S` or `PATIENCE_S` are over; not where that cannot help, as without permission. A big file is
read range by range, so that a lost connection costs one range.
"""

import errno
import io
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

from ..errors import DataError, RemoteError
from .locations import Location, is_remote, locate, redacted

if TYPE_CHECKING:
    from typing_extensions import Buffer
    from upath import UPath

log = logging.getLogger(__name__)

Made = TypeVar("Made")
WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)  # before the further attempts
PATIENCE_S = 45.0  # after which there is no further one
RANGE = 8 << 20  # bytes of one request for a part of a file
LIBRARIES = (  # whose errors are no OSError; only those that are in use
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("requests", "RequestException"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("gcsfs.retry", "HttpError"),
    ("azure.core.exceptions", "AzureError"),
    ("paramiko.ssh_exception", "SSHException"),
    ("huggingface_hub.errors", "HTTPError"),
)
HOPELESS = (
    *("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "NoRegionError"),
    *("ParamValidationError", "DefaultCredentialsError", "ClientAuthenticationError"),
)
HOPELESS_ERRNO = (errno.EPERM, errno.EACCES, errno.ENOSYS)


def steadily(location: Location, work: Callable[[], Made]) -> Made:
    """Return what some work at an address gives; try again where that may help.

    Raises:
        RemoteError: it failed for good.
        FileNotFoundError, FileExistsError: as the work raised them.
    """
    began = time.monotonic()
    for attempt, wait in enumerate((*WAITS_S, None), 1):
        try:
            return work()
        except (FileNotFoundError, FileExistsError):
            raise
        except _errors() as error:
            why = _why(error)
            late = time.monotonic() - began > PATIENCE_S
            if wait is None or late or _is_hopeless(error):
                raise RemoteError(redacted(location), why) from error
            log.warning("%s: %s (attempt %d)", redacted(location), why, attempt)
            time.sleep(wait)
    raise AssertionError  # the last attempt has no wait


def is_file(path: Location) -> bool:
    """Return whether there is a file.

    Raises:
        RemoteError: the address does not answer; so for all that follow.
    """
    return _kind(path) == "file" if is_remote(path) else path.is_file()


def is_dir(path: Location) -> bool:
    """Return whether there is a folder."""
    return _kind(path) == "directory" if is_remote(path) else path.is_dir()


def files_below(folder: Location) -> list[Location]:
    """Return every file in a folder and the folders in it, in the order of their paths."""
    if is_remote(folder):
        return _located(folder, steadily(folder, lambda: folder.fs.find(folder.path)))
    return sorted(path for path in folder.rglob("*") if path.is_file())


def files_like(pattern: Location) -> list[Location]:
    """Return the files that a glob names, in the order of their paths.

    Raises:
        DataError: it is no glob.
    """
    if is_remote(pattern):
        found = _located(pattern, steadily(pattern, lambda: pattern.fs.glob(pattern.path)))
        return [path for path in found if is_file(path)]
    anchor = Path(pattern.anchor) if pattern.anchor else Path()
    try:
        return sorted(p for p in anchor.glob(str(pattern.relative_to(anchor))) if p.is_file())
    except ValueError as error:
        raise DataError(f"{pattern}: {str(error).lower()}") from error


def open_bytes(path: Location, buffered: int = RANGE) -> IO[bytes]:
    """Open a file for reading, at any place of it.

    Raises:
        FileNotFoundError: no such file.
    """
    if is_remote(path):
        return io.BufferedReader(_Ranges(path), RANGE)
    return path.open("rb", buffered)


class _Ranges(io.RawIOBase):
    """A file whose every read is a request of its own."""

    def __init__(self, path: "UPath") -> None:
        self.path, self.at = path, 0
        self.size = int(steadily(path, lambda: path.fs.info(path.path)["size"]))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        self.at = start + offset
        return self.at

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self.read(RANGE) or b"", b""))  # by itself in tiny requests

    def readinto(self, buffer: "Buffer") -> int:
        view = memoryview(buffer).cast("B")
        start, end = self.at, min(self.at + len(view), self.size)
        if end <= start:
            return 0
        fs, name = self.path.fs, self.path.path
        found = steadily(self.path, lambda: fs.cat_file(name, start=start, end=end))
        if len(found) != end - start:
            why = f"bytes {start:,} to {end:,} were asked for, {len(found):,} came"
            raise RemoteError(redacted(self.path), why)  # another file by now, or no ranges at all
        view[: len(found)] = found
        self.at = end
        return len(found)


def _kind(path: "UPath") -> str:
    """file, directory, or nothing; the `is_file` of fsspec says no of whatever fails."""
    try:
        return str(steadily(path, lambda: path.fs.info(path.path))["type"])
    except FileNotFoundError:
        return ""


def _located(like: "UPath", names: list[str]) -> list[Location]:
    # in the order of pathlib, which compares folder by folder: the same rows as from a local copy
    ordered = sorted(names, key=lambda name: name.split("/"))
    return [locate(like.fs.unstrip_protocol(name)) for name in ordered]


def _errors() -> tuple[type[Exception], ...]:
    """What file systems raise where something is wrong on the way."""
    found = [(sys.modules.get(module), name) for module, name in LIBRARIES]
    own = [getattr(module, name) for module, name in found if module is not None]
    return OSError, NotImplementedError, *own


def _is_hopeless(error: Exception) -> bool:
    return (
        isinstance(error, NotImplementedError)
        or type(error).__name__ in HOPELESS
        or getattr(error, "errno", None) in HOPELESS_ERRNO
        or isinstance(error, PermissionError)
    )


def _why(error: Exception) -> str:
    """One line about an error, without secrets."""
    lines = str(error).strip().splitlines() or [""]
    return redacted(f"{type(error).__name__}: {lines[0]}" if lines[0] else type(error).__name__)
