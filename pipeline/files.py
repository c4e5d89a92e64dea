"""What the store and the run folders do with files, here or at an address.

A file gets its name only when it is whole:

- here it is written aside, synced and renamed;
- object stores (`OBJECTS`) take it in one upload, which is seen whole or not at all;
- other systems that can rename get it aside and rename it; those that cannot are refused.

Writers of one name write the same bytes, so the last one does no harm. What is made of several
files has one that is written last and says that the others are there: `pool.json`, `manifest.json`.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import ConfigError, RemoteError
from ..stages.locations import Location, is_remote, redacted
from ..stages.remote import steadily

if TYPE_CHECKING:
    from upath import UPath

OBJECTS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "memory"}
PROBE, PROBE_TEXT = ".tamis", b"Tamis writes here.\n"
AT_ONCE = 64 << 20  # bytes; larger files are not read into memory to be sent
MODIFIED = ("LastModified", "mtime", "last_modified", "updated", "modified")  # by file system


@dataclass(frozen=True)
class Listed:
    """A file below a folder.

    Attributes:
        inside: the names that lead to it from there.
        size: bytes.
        modified: seconds since 1970; infinite where the file system does not say.
    """

    inside: tuple[str, ...]
    size: int
    modified: float


@contextmanager
def whole_file(path: Location) -> Iterator[Path]:
    """Give a path to write to; it becomes `path`, synced, if the block ends well, else nothing.

    Raises:
        RemoteError: an address does not take it.
    """
    if is_remote(path):
        with TemporaryDirectory(prefix="tamis-") as folder:
            aside = Path(folder) / path.name
            yield aside
            send(aside, path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        yield aside
        sync([aside])
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync([path.parent])


def sync(paths: Iterable[Path]) -> None:
    """Wait until files and folders of this machine are on their disk."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def send(file: Path, path: "UPath") -> None:
    """Write a local file to an address, whole or not at all.

    Raises:
        RemoteError: the address does not take it.
    """
    data = file.read_bytes() if file.stat().st_size <= AT_ONCE else None

    def put(name: str) -> None:
        if data is None:
            path.fs.put_file(str(file), name)
        else:
            path.fs.pipe_file(name, data)

    def work() -> None:
        if path.protocol in OBJECTS:
            put(path.path)
            return
        path.fs.makedirs(path.parent.path, exist_ok=True)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial").path
        put(aside)
        path.fs.mv(aside, path.path)

    _written(path, work)


def check_writable(path: Location, what: str) -> None:
    """Raise if an address cannot hold a store or runs; writes a small file there to find out.

    Args:
        path: nothing is done for one of this machine.
        what: it is in the config.

    Raises:
        ConfigError: with the reason in one sentence.
    """
    if not is_remote(path):
        return
    from fsspec import AbstractFileSystem

    try:
        own = steadily(path, lambda: type(path.fs).mv is not AbstractFileSystem.mv)
        if path.protocol not in OBJECTS and not own:
            raise ConfigError(
                f"{what}: {path.protocol}:// can be read but not be written safely, as it has no "
                f"rename; take a local folder, s3:// or gs://"
            )
        with whole_file(path / PROBE) as probe:
            probe.write_bytes(PROBE_TEXT)
    except RemoteError as error:
        raise ConfigError(f"{what} {redacted(path)!r} cannot be used: {error.why}") from error


def readable(path: Location) -> "Path | pa.BufferReader":
    """Return what Arrow reads a file from: its path, or its bytes from one request.

    Raises:
        RemoteError: an address does not give it.
        FileNotFoundError: there is none at an address.
    """
    return pa.BufferReader(read(path)) if is_remote(path) else path


def read(path: Location) -> bytes:
    """Return the bytes of a file.

    Raises:
        RemoteError: an address does not give it.
        OSError: it cannot be read; FileNotFoundError where there is none.
    """
    if is_remote(path):
        return bytes(steadily(path, lambda: path.fs.cat_file(path.path)))
    return path.read_bytes()


def size(path: Location) -> int | None:
    """Return the bytes of a file, or None where there is none."""
    try:
        if is_remote(path):
            return int(steadily(path, lambda: path.fs.info(path.path)["size"]))
        return path.stat().st_size
    except FileNotFoundError:
        return None


def names(folder: Location) -> set[str]:
    """Return the names of what lies in a folder; none where there is no folder."""
    if not is_remote(folder):
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    try:
        found = steadily(folder, lambda: folder.fs.ls(folder.path, detail=False))
    except FileNotFoundError:
        return set()
    return {name.rstrip("/").rpartition("/")[2] for name in found}


def files_below(folder: Location) -> list[Listed]:
    """Return all files in a folder and the folders in it, in order of their names.

    At an address that is one request for a thousand files.
    """
    if not is_remote(folder):
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        facts = [(path.relative_to(folder).parts, path.stat()) for path in paths]
        return [Listed(inside, stat.st_size, stat.st_mtime) for inside, stat in facts]
    found = steadily(folder, lambda: folder.fs.find(folder.path, detail=True))
    start = len(folder.path.rstrip("/")) + 1
    return [
        Listed(tuple(name[start:].split("/")), int(info["size"] or 0), _modified(info))
        for name, info in sorted(found.items())
    ]


def remove_files(folder: Location, files: Sequence[Listed]) -> None:
    """Remove files below a folder, and the folders that are empty then, `folder` too."""
    if is_remote(folder):
        paths = ["/".join((folder.path, *file.inside)) for file in files]
        if paths:
            steadily(folder, lambda: folder.fs.rm(paths))
        return
    for file in files:
        folder.joinpath(*file.inside).unlink(missing_ok=True)
    inner = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
    for path in [*inner, folder]:  # inner ones first
        if not any(path.iterdir()):
            path.rmdir()


def remove(path: Location) -> None:
    """Remove a file, or a folder with all that it holds; nothing where there is none."""
    if is_remote(path):
        with suppress(FileNotFoundError):
            steadily(path, lambda: path.fs.rm(path.path, recursive=True))
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def rename(path: Location, name: str) -> None:
    """Give a file or folder another name where it lies; nothing where there is none."""
    if not is_remote(path):
        if path.exists():
            path.rename(path.with_name(name))
        return
    to = path.with_name(name).path
    if path.protocol not in OBJECTS:
        with suppress(FileNotFoundError):
            steadily(path, lambda: path.fs.mv(path.path, to))
        return
    for file in steadily(path, lambda: path.fs.find(path.path)):  # objects are copied one by one
        target = to + file.removeprefix(path.path)
        steadily(path, partial(path.fs.cp_file, file, target))
        steadily(path, partial(path.fs.rm_file, file))


def _modified(info: Mapping[str, Any]) -> float:
    when = next((info[name] for name in MODIFIED if info.get(name) is not None), None)
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    if isinstance(when, datetime):
        return when.timestamp()
    return float("inf") if when is None else float(when)


def _written(path: "UPath", work: Callable[[], None]) -> None:
    try:
        steadily(path, work)
    except (FileNotFoundError, FileExistsError) as error:  # no such bucket, for example
        raise RemoteError(redacted(path), redacted(error)) from error
