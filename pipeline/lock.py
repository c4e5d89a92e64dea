"""Who fills a run folder: one process at a time.

Here the system's own lock says so, and gives it up when the process ends, however. At an address
there are none, so the folder holds leases instead, `.lease-<n>.json`::

    {"host": "…", "machine": "…", "pid": 123, "token": "…", "beat": <unix time>, "ended": false}

The newest lease counts. Its owner writes it anew every `BEAT_S` seconds. Lease n + 1 may be made
once n has ended, or is dead: its process is gone (on the same machine), or it has not been renewed
for `STALE_S` seconds, to which the clocks of all machines must agree. It is made by a conditional
write (create, do not overwrite), so of many that try only one succeeds. Numbers do not come again.
"""

import fcntl
import json
import logging
import os
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ConfigError, RemoteError
from ..stages.locations import Location, is_remote
from ..stages.remote import steadily
from .files import OBJECTS, names, read, remove

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

BEAT_S = 15.0
STALE_S = 120.0
HELD: set[str] = set()  # tokens of this process
PREFIX, SUFFIX = ".lease-", ".json"


class Lock(Protocol):
    """What a process holds while it fills a folder."""

    def check(self) -> None:
        """Raise if another process has it.

        Raises:
            ConfigError: so.
        """
        ...

    def release(self) -> None:
        """Let another process have it."""
        ...


def lock(folder: Location, each_beat: Callable[[], None] = lambda: None) -> Lock | None:
    """Return the lock of a folder, or None where another process has it.

    Args:
        folder: of a run; here it must exist.
        each_beat: called with each renewal of a lease.

    Raises:
        RemoteError: the address does not answer.
    """
    if is_remote(folder):
        return _lease(folder, each_beat)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return _Handle(handle)


def holder(folder: Location) -> str:
    """Return who holds the lease of a folder at an address, as words; nothing for a local one."""
    if not is_remote(folder) or not (numbers := _numbers(folder)):
        return ""
    said = _read(folder, numbers[-1])
    age = max(time.time() - said["beat"], 0)
    return f" (process {said['pid']} on {said['host']}, last sign of life {age:.0f} s ago)"


@dataclass(frozen=True)
class _Handle:
    handle: int

    def check(self) -> None:
        """Nobody can take it."""

    def release(self) -> None:
        os.close(self.handle)


@dataclass
class _Lease:
    """A lease that is renewed in the background until it is released."""

    folder: "UPath"
    number: int
    facts: dict[str, Any]
    each_beat: Callable[[], None]
    ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        HELD.add(self.facts["token"])
        self.thread = threading.Thread(target=self._renew, daemon=True)
        self.thread.start()

    def check(self) -> None:
        newest = _numbers(self.folder)[-1:]
        if newest != [self.number]:
            raise ConfigError(
                f"another process took over {self.folder}{holder(self.folder)}, as this one had "
                f"not been heard of for {STALE_S:.0f} s"
            )

    def release(self) -> None:
        self.ended.set()
        self.thread.join()
        HELD.discard(self.facts["token"])
        try:
            self._write(ended=True)
            for older in _numbers(self.folder):
                if older < self.number:
                    remove(_path(self.folder, older))
        except RemoteError as error:  # whatever ended the run is said in its place
            log.warning("the lease is not given back, and ends in %.0f s: %s", STALE_S, error)

    def _renew(self) -> None:
        while not self.ended.wait(BEAT_S):
            try:
                self.check()
                self._write()
                self.each_beat()
            except ConfigError as error:
                log.warning("%s", error)
                return
            except (RemoteError, OSError) as error:
                log.warning("the lease is not renewed: %s", error)

    def _write(self, ended: bool = False) -> None:
        path = _path(self.folder, self.number)
        data = json.dumps(self.facts | {"beat": time.time(), "ended": ended}).encode()
        steadily(path, lambda: path.fs.pipe_file(path.path, data))


def _lease(folder: "UPath", each_beat: Callable[[], None]) -> _Lease | None:
    numbers = _numbers(folder)
    if numbers and not _is_free(_read(folder, numbers[-1])):
        return None
    number = numbers[-1] + 1 if numbers else 1
    facts = {"host": socket.gethostname(), "machine": _machine(), "pid": os.getpid()}
    facts |= {"token": secrets.token_hex(8)}
    data = json.dumps(facts | {"beat": time.time(), "ended": False}).encode()
    path = _path(folder, number)
    if path.protocol not in OBJECTS:  # which have no folders
        steadily(path, lambda: path.fs.makedirs(folder.path, exist_ok=True))
    try:
        steadily(path, lambda: path.fs.pipe_file(path.path, data, mode="create"))
    except FileExistsError:
        # somebody was quicker, or this is the second attempt of a first that did succeed
        if _read(folder, number)["token"] != facts["token"]:
            return None
    return _Lease(folder, number, facts, each_beat)


def _is_free(said: dict[str, Any]) -> bool:
    """Whether the owner of a lease has ended, or is dead."""
    if said["ended"]:
        return True
    if said["token"] in HELD:
        return False
    if said["machine"] == _machine() and not _is_alive(said["pid"]):
        return True
    return bool(time.time() - said["beat"] > STALE_S)


def _machine() -> str:
    """What processes share that can see each other: a network card and a space of numbers."""
    space = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()} {uuid.getnode():x} {space.readlink() if space.exists() else ''}"


def _is_alive(pid: int) -> bool:
    if pid == os.getpid():
        return False  # it had the number in an earlier life of a container
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True


def _numbers(folder: "UPath") -> list[int]:
    found = [n for n in names(folder) if n.startswith(PREFIX) and n.endswith(SUFFIX)]
    return sorted(int(n.removeprefix(PREFIX).removesuffix(SUFFIX)) for n in found)


def _path(folder: "UPath", number: int) -> "UPath":
    return folder / f"{PREFIX}{number}{SUFFIX}"


def _read(folder: "UPath", number: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(read(_path(folder, number)))
    return found
