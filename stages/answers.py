"""What a server has answered, kept as it comes, so that nothing is paid twice.

    answers/<key>/<time>-<process>-<random>.jsonl   in the store, one line per answer

The key stands for all that decides what is asked but the rows: server, model, settings, prompt. A
line names its question by the hash of its messages. Every process has a file of its own and only
adds to it, a line at a time; so several may write at once, and one that is killed loses nothing
that it had received. What is not whole at the end of a file is left out. In memory there is only
where each answer stands.
"""

import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

FOLDER = "answers"
SYNC_S = 1.0  # between syncs: as much as a machine that loses power may forget


@dataclass(frozen=True)
class Answer:
    """A reply of a server.

    Attributes:
        text: of its message.
        finish: why it ends, such as stop or length.
        tokens_in, tokens_out: that it is paid by.
        tops: log-probabilities of the likeliest tokens where the rating stands.
        refused: the server would not say it.
    """

    text: str
    finish: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    tops: Mapping[str, float] = field(default_factory=dict)
    refused: bool = False


class Answers:
    """The answers to one kind of question."""

    def __init__(self, folder: Path | None = None) -> None:
        """Read what is there.

        Args:
            folder: None: they are kept in memory alone.
        """
        self.folder = folder
        self.tokens_in = self.tokens_out = 0  # of all that was ever paid for
        self._found: dict[str, Answer | tuple[Path, int]] = {}  # or the file and where it begins
        self._own = Path()
        self._handle: int | None = None
        self._synced = 0.0
        for file in sorted(folder.glob("*.jsonl")) if folder and folder.is_dir() else []:
            self._read(file)

    def __len__(self) -> int:
        return len(self._found)

    def get(self, name: str) -> Answer | None:
        """Return the answer to a question, if there is one."""
        found = self._found.get(name)
        if not isinstance(found, tuple):
            return found
        with found[0].open("rb") as file:
            file.seek(found[1])
            return _parsed(file.readline())[1]

    def add(self, name: str, answer: Answer) -> None:
        """Keep an answer; it is in the file when this returns."""
        if self.folder is None:
            self._know(name, answer, answer)
            return
        if self._handle is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            name_of_own = f"{time.time_ns()}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
            self._own = self.folder / name_of_own
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
            self._handle = os.open(self._own, flags, 0o644)
        line = json.dumps({"question": name} | asdict(answer), ensure_ascii=True) + "\n"
        start = os.fstat(self._handle).st_size
        rest = memoryview(line.encode())
        try:
            while rest:  # a disk that is nearly full may take a piece
                rest = rest[os.write(self._handle, rest) :]
        except OSError:
            os.ftruncate(self._handle, start)  # the next answer needs a line of its own
            raise
        self._know(name, answer, (self._own, start))
        if time.monotonic() - self._synced > SYNC_S:
            self.sync()

    def sync(self) -> None:
        """Wait until what was added is on the disk."""
        if self._handle is not None:
            os.fsync(self._handle)
        self._synced = time.monotonic()

    def close(self) -> None:
        """Sync, and end the file."""
        if self._handle is not None:
            self.sync()
            os.close(self._handle)
            self._handle = None

    def _know(self, name: str, answer: Answer, place: Answer | tuple[Path, int]) -> None:
        self._found[name] = place
        self.tokens_in += answer.tokens_in
        self.tokens_out += answer.tokens_out

    def _read(self, file: Path) -> None:
        lost, start = 0, 0
        with file.open("rb") as lines:
            for line in lines:
                try:
                    name, answer = _parsed(line)
                    self._know(name, answer, (file, start))
                except (ValueError, KeyError, TypeError, AttributeError):
                    lost += 1
                start += len(line)
        if lost:  # the last one, where a process was killed at it
            log.warning("%s: %d lines are not whole; their questions are asked again", file, lost)


def _parsed(line: bytes) -> tuple[str, Answer]:
    """The name of a question, and its answer."""
    fields = json.loads(line)
    return fields.pop("question"), Answer(**fields)


def name_of(messages: Sequence[Mapping[str, Any]], number: int) -> str:
    """Return what names a question in its `number`th asking, from 0."""
    text = json.dumps(list(messages), ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{number}:{text}".encode()).hexdigest()[:32]


def folder_of(asked: Mapping[str, Any]) -> str:
    """Return the folder in a store of answers to questions of one kind.

    Args:
        asked: all that decides what is asked but the rows.
    """
    text = json.dumps(asked, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return f"{FOLDER}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"
