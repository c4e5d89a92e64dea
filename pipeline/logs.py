"""What a run says while it works: a bar on a terminal, plain lines elsewhere, and a log file."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..stages.locations import Location
from .heartbeat import Doing, heartbeat
from .status import Parts, StatusFile

EVERY_S = 10.0  # between plain lines


def printable(text: str) -> str:
    """Return text without control characters: what stands in data must not steer a terminal."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def show(what: RenderableType) -> None:
    """Print for a person to read, on standard output."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 140  # a file or a pipe has no edge that lines must be folded at
    console.print(what)


class Counter(Protocol):
    """Counts what a step has done."""

    def add(self, rows: int, tokens: float = 0) -> None:
        """Count rows, and tokens that went through a model."""
        ...


class Reporter:
    """Shows the progress of steps on standard error."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr, highlight=False, markup=False)
        self.status = StatusFile()

    @contextmanager
    def recording(self, path: Location) -> Iterator[None]:
        """Keep what steps do, and warnings, in a status file while the block runs."""
        self.status = StatusFile(path)
        handler = _Warnings(self.status)
        logging.getLogger("tamis").addHandler(handler)
        try:
            yield
        finally:
            logging.getLogger("tamis").removeHandler(handler)
            self.status = StatusFile()

    def say(self, text: str) -> None:
        """Show one line."""
        self.console.print(text, soft_wrap=True)

    @contextmanager
    def step(
        self,
        name: str,
        n_rows: int | None,
        parts: Parts | None = None,
        doing: Callable[[], Sequence[Doing]] | None = None,
    ) -> Iterator[Counter]:
        """Show a step while the block runs, and say so when there has been no news for a while.

        Args:
            name: of the step.
            n_rows: that it has to do; None: not known.
            parts: of the pool, where the step counts one with each addition.
            doing: who works on what; by default this process.
        """
        make = self._bar if self.console.is_terminal else self._lines
        own = [Doing("this process", name)]
        self.status.begin(name, n_rows, parts)
        with (
            make(name, n_rows) as counter,
            heartbeat(name, doing or (lambda: own), self.say, self.status.alive) as news,
        ):

            def add(rows: int, tokens: float = 0) -> None:
                news.came()
                self.status.add(rows)
                counter.add(rows, tokens)

            yield _Told(add)
        self.status.done()

    @contextmanager
    def busy(self, name: str) -> Iterator[None]:
        """Say now and then that this process is at something that counts no rows."""
        own = [Doing("this process", name)]
        with heartbeat(name, lambda: own, self.say, self.status.alive):
            yield

    @contextmanager
    def _bar(self, name: str, n_rows: int | None) -> Iterator[Counter]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} rows  {task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(name, total=n_rows, rate="")

            def show(counter: "_Count") -> None:
                progress.update(task, completed=counter.rows, rate=counter.rate())

            yield _Count(show)

    @contextmanager
    def _lines(self, name: str, n_rows: int | None) -> Iterator[Counter]:
        last = time.monotonic()

        def show(counter: "_Count") -> None:
            nonlocal last
            if time.monotonic() - last >= EVERY_S:
                last = time.monotonic()
                self.say(f"{name}: {counter.progress(n_rows)}")

        counter = _Count(show)
        yield counter
        self.say(f"{name}: {counter.progress(n_rows)}")


@dataclass(frozen=True)
class _Told:
    """Passes on what is counted."""

    add: Callable[..., None]


class _Count:
    """Adds up rows and tokens, and shows itself after each addition."""

    def __init__(self, show: "Callable[[_Count], None]") -> None:
        self.rows, self.tokens, self.began, self.show = 0, 0.0, time.monotonic(), show

    def add(self, rows: int, tokens: float = 0) -> None:
        self.rows += rows
        self.tokens += tokens
        self.show(self)

    def rate(self) -> str:
        seconds = max(time.monotonic() - self.began, 1e-9)
        text = f"{self.rows / seconds:,.0f} rows/s"
        return text + (f"  {self.tokens / seconds:,.0f} tokens/s" if self.tokens else "")

    def progress(self, n_rows: int | None) -> str:
        if n_rows is None:
            return f"{self.rows:,} rows, {self.rate()}"
        seconds = time.monotonic() - self.began
        left = seconds / max(self.rows, 1) * (n_rows - self.rows)
        time_left = f", {left:,.0f} s left" if self.rows < n_rows else f", {seconds:,.1f} s"
        return f"{self.rows:,}/{n_rows:,} rows, {self.rate()}{time_left}"


class _Warnings(logging.Handler):
    """Tells a status file what went wrong."""

    def __init__(self, status: StatusFile) -> None:
        super().__init__(logging.WARNING)
        self.status = status

    def emit(self, record: logging.LogRecord) -> None:
        self.status.failed(record.getMessage())


class JsonLines(logging.Handler):
    """Appends each log record to a file as a JSON object."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.INFO)
        self.path = path

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "from": record.name.removeprefix("tamis."),
            "message": record.getMessage(),
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Keep what Tamis logs in a file while the block runs."""
    logger, handler = logging.getLogger("tamis"), JsonLines(path)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
