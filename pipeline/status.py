"""How far a run is: a small file in its folder, written while it works, readable from anywhere.

    runs/<name>/status.json   step, parts and rows done, rows per second, who works on what, and
                              what went wrong so far; renewed every few seconds

Before a run has a folder, while it reads its data, it is `<out>/.<name>.status.json`.
`tamis status RUN` shows it, from another terminal or any machine that sees the folder.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import ConfigError
from ..stages.locations import Location, locate
from ..stages.remote import is_file
from .files import read, whole_file
from .folder import CONFIG, MANIFEST, SCORES, STATUS
from .heartbeat import BEAT_S, Doing

LOST_S = 60.0  # without a sign of life: the process is gone, or its machine
FAILURES = 20  # that are shown, the last ones


@dataclass(frozen=True)
class Parts:
    """Of a step.

    Attributes:
        of: the pool.
        there: that were computed before.
    """

    of: int
    there: int


@dataclass
class StatusFile:
    """What a run says of itself while it works.

    Attributes:
        path: of the file; None: nothing is written.
    """

    path: "Location | None" = None
    _facts: dict[str, Any] = field(default_factory=dict)
    _written: float = 0.0
    _is_writing: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._facts = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "began": time.time(),
            "steps_done": [],
            "failures": [],
        }

    def begin(self, step: str, rows: int | None, parts: Parts | None = None) -> None:
        """Say that a step begins.

        Args:
            step: its name.
            rows: to be done; None: not known.
            parts: of the pool, if it counts them.
        """
        counted = {} if parts is None else {"parts": parts.of, "parts_done": parts.there}
        facts = {"name": step, "rows": rows, "rows_done": 0, "began": time.time()}
        self._write(at_once=True, step=facts | counted)

    def add(self, rows: int) -> None:
        """Say that rows are done: of a step that counts parts, those of one part."""
        step = self._facts["step"]
        now = {"rows_done": step["rows_done"] + rows}
        if "parts" in step:
            now["parts_done"] = step["parts_done"] + 1
        self._write(step=step | now)

    def done(self) -> None:
        """Say that the step is done."""
        step = self._facts.pop("step")
        self._write(at_once=True, steps_done=[*self._facts["steps_done"], step["name"]], workers=[])

    def failed(self, what: str) -> None:
        """Say what went wrong, and did not stop the run."""
        self._write(at_once=True, failures=[*self._facts["failures"], what][-FAILURES:])

    def alive(self, doing: Sequence[Doing]) -> None:
        """Say who works on what now."""
        self._write(workers=[str(one) for one in doing])

    def _write(self, at_once: bool = False, **facts: Any) -> None:  # noqa: ANN401 - JSON
        with self._lock:
            self._facts |= facts
            now = time.monotonic()
            if self.path is None or (not at_once and now - self._written < BEAT_S):
                return
            if self._is_writing:  # a warning about this very file: it is said with the next write
                return
            self._written, self._is_writing = now, True
            try:
                with whole_file(self.path) as partial:
                    text = json.dumps(self._facts | {"updated": time.time()}, ensure_ascii=False)
                    partial.write_text(text + "\n", "utf-8")
            finally:
                self._is_writing = False


class _Facts(BaseModel):
    """What a status file must hold to be shown; it may hold more."""

    model_config = ConfigDict(extra="allow")

    class Step(BaseModel):
        """The step that runs."""

        model_config = ConfigDict(extra="allow")
        name: str
        parts: int = 0
        parts_done: int = 0
        rows: int | None
        rows_done: int
        began: float

    host: str
    process: int
    updated: float
    steps_done: list[str]
    failures: list[str]
    workers: list[str] = []
    step: Step | None = None


@dataclass(frozen=True)
class Status:
    """How a run is.

    Attributes:
        state: done, working, preparing (it reads its data or trains adapters, and its folder is
            not there yet), or lost (nothing is heard of it).
        facts: what the file says; empty where there is none.
        silent_s: since it was written.
    """

    state: str
    facts: Mapping[str, Any]
    silent_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return all that is known."""
        figures = {"rows_per_s": self.rows_per_s, "seconds_left": self.seconds_left}
        return {"state": self.state, "silent_s": self.silent_s, **figures, **self.facts}

    @property
    def rows_per_s(self) -> float:
        """Of the step that runs, since it began."""
        step = self.facts.get("step") or {}
        seconds = self.facts.get("updated", 0) - step.get("began", 0)
        return float(step.get("rows_done", 0) / seconds) if step and seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Of the step that runs; None where nothing is known of it yet."""
        step, rate = self.facts.get("step") or {}, self.rows_per_s
        rows = step.get("rows")
        return float((rows - step["rows_done"]) / rate) if rate and rows is not None else None


def status_of(run: str) -> Status:
    """Return how a run is.

    Args:
        run: its folder.

    Raises:
        ConfigError: no run lies there, and none prepares to.
    """
    folder = locate(run)
    if is_file(folder / MANIFEST):
        return Status("done", _facts(folder / STATUS, needed=False))
    before = _facts(preparing(folder), needed=False)
    silent = time.time() - before.get("updated", 0.0)
    if silent < LOST_S:
        return Status("preparing", before, silent)
    if not is_file(folder / CONFIG):
        raise ConfigError(f"{run!r} is not the folder of a run: it has no {CONFIG}")
    facts = _facts(folder / STATUS)
    if not facts:
        return Status("done" if is_file(folder / SCORES) else "lost", facts)
    silent = time.time() - facts["updated"]
    return Status("working" if silent < LOST_S else "lost", facts, silent)


def preparing(folder: Location) -> Location:
    """Return the status file of a run that has no folder yet: it reads its data, or trains."""
    return folder.with_name(f".{folder.name}.{STATUS}")


def is_preparing(folder: Location) -> bool:
    """Return whether a run works that has no folder yet."""
    facts = _facts(preparing(folder), needed=False)
    return bool(time.time() - facts.get("updated", 0.0) < LOST_S)


def prepared_name(file: str) -> str | None:
    """Return the name of the run that a file of `preparing` is of; None for any other file."""
    is_one = file.startswith(".") and file.endswith(f".{STATUS}")
    return file.removeprefix(".").removesuffix(f".{STATUS}") if is_one else None


def _facts(path: Location, needed: bool = True) -> dict[str, Any]:
    """What a status file says; nothing where there is none, or a damaged one is not needed."""
    if not is_file(path):
        return {}
    try:
        return _Facts.model_validate_json(read(path)).model_dump(exclude_unset=True)
    except ValidationError as error:
        if not needed:
            return {}
        first = error.errors()[0]
        why = " ".join(map(str, [*first["loc"], first["msg"]]))
        raise ConfigError(f"{str(path)!r} is damaged: {why}; start the run again") from error
