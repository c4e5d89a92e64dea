"""Says what is being worked on when there has been no news for a while: no run is silent."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

PATIENCE_S = 60.0  # without news, before it is said what is going on
BEAT_S = 2.0  # between signs of life


@dataclass
class Doing:
    """What somebody works on.

    Attributes:
        who: this process, or a worker with its machine.
        what: a part, or what is prepared.
        since: by `time.monotonic`.
    """

    who: str
    what: str
    since: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        return f"{self.who}: {self.what}, for {time.monotonic() - self.since:,.0f} s"


@dataclass
class News:
    """When there was news last."""

    last: float = field(default_factory=time.monotonic)

    def came(self) -> None:
        """Something was finished."""
        self.last = time.monotonic()


@contextmanager
def heartbeat(
    name: str,
    doing: Callable[[], Sequence[Doing]],
    say: Callable[[str], None],
    alive: Callable[[Sequence[Doing]], None] = lambda found: None,
) -> Iterator[News]:
    """Watch over a step while the block runs.

    Args:
        name: of the step.
        doing: what is being worked on now; called from another thread.
        say: shows a line, after `PATIENCE_S` without news and then once in every such while.
        alive: told every `BEAT_S` what is going on.

    Raises:
        OSError: `alive` or the log could not write, with a full disk for example; at the end of
            the block, as the watch has a thread of its own.
    """
    news, over = News(), threading.Event()
    failed: list[OSError] = []

    def watch() -> None:
        said = news.last
        while not over.wait(BEAT_S):
            found = list(doing())
            alive(found)
            if time.monotonic() - max(said, news.last) >= PATIENCE_S:
                said = time.monotonic()
                quiet = time.monotonic() - news.last
                busy = "; ".join(map(str, found)) or "nobody works on it yet"
                line = f"{name}: no news for {quiet:,.0f} s; {busy}"
                log.info(line)
                say(line)

    def keep_watching() -> None:
        try:
            watch()
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=keep_watching, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield news
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]
