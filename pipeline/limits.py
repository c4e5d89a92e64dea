"""Stops a run at the hours or the money that its config allows; it can be gone on with.

    limits: {max_hours: 8, max_cost: 40, price: 2.5}

What counts are the hours of all starts of a run together, reading and warm-ups included. They are
kept in the store under a name that the config gives (without engine, limits, store and out), and
forgotten once the run is finished. After each part, and each epoch of a warm-up, it is looked
whether a limit is reached: then no new part is begun, those at work are finished and kept, and the
run ends with exit code 1. Raise the limit, and it goes on.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import LimitReached
from ..stages.base import Stage
from ..stages.locations import Location
from ..stages.remote import is_file
from .config import Config, EngineConfig, LimitsConfig
from .executor import Engine
from .files import read, remove, whole_file
from .fingerprint import canonical, key
from .folder import what_decides
from .heartbeat import Doing
from .plan import Plan
from .store import SPENT, Store
from .task import Receipt, Task

NOTE_S = 10.0  # between notes of the time: as much as a start that is killed may forget


@dataclass
class Clock:
    """How long a run has worked, in all its starts.

    Attributes:
        limits: of its config.
        path: where that is kept; None: there are no limits.
        before_s: of the starts before this one.
        starts: how many there were, with this one.
    """

    limits: LimitsConfig = field(default_factory=LimitsConfig)
    path: "Location | None" = None
    before_s: float = 0.0
    starts: int = 1
    _began: float = field(default_factory=time.monotonic)
    _noted: float = 0.0

    @property
    def seconds(self) -> float:
        """Of all starts together."""
        return self.before_s + time.monotonic() - self._began

    @property
    def reached(self) -> str:
        """Which limit is reached, in words; empty if none is."""
        hours, said = self.seconds / 3600, self.limits
        starts = f" in {self.starts} starts" if self.starts > 1 else ""
        if said.max_hours is not None and hours >= said.max_hours:
            return f"limits.max_hours is {said.max_hours:g}, and {_hours(hours)} are used{starts}"
        cost = hours * (said.price or 0.0)
        if said.max_cost is not None and cost >= said.max_cost:
            return (
                f"limits.max_cost is {said.max_cost:g}, and {_hours(hours)} at {said.price:g} an "
                f"hour have cost {cost:.2f}{starts}"
            )
        return ""

    def check(self, left: str) -> None:
        """Raise if a limit is reached.

        Args:
            left: what is still to be done, for the message.

        Raises:
            LimitReached: so.
        """
        self.note()
        if why := self.reached:
            self.note(at_once=True)
            raise LimitReached(f"{why}; {left}; what is computed is kept, raise the limit to go on")

    def note(self, at_once: bool = False) -> None:
        """Write the time down, every few seconds."""
        now = time.monotonic()
        if self.path is None or (now - self._noted < NOTE_S and self._noted and not at_once):
            return
        self._noted = now
        with whole_file(self.path) as partial:
            facts = {"seconds": round(self.seconds, 3), "starts": self.starts}
            partial.write_text(json.dumps(facts) + "\n", "utf-8")

    def finished(self) -> None:
        """Forget the time: the run is done."""
        if self.path is not None:
            remove(self.path)


def start_clock(config: Config, store: Store) -> Clock:
    """Return the clock of a run that starts, with the time of its starts before."""
    said = config.limits
    if said.max_hours is None and said.max_cost is None:
        return Clock()
    path = store.root / SPENT / f"{key(canonical(what_decides(config)))}.json"
    before = json.loads(read(path)) if is_file(path) else {"seconds": 0.0, "starts": 0}
    return Clock(said, path, float(before["seconds"]), int(before["starts"]) + 1)


def left_to_train(name: str, epochs: int) -> str:
    """Say what is left of the warm-up of a signal, and what comes after it."""
    n = f"{epochs} epoch{'' if epochs == 1 else 's'}" if epochs else "nothing"
    return f"the warm-up of {name} has {n} left, then come its columns"


@dataclass
class LimitedEngine:
    """An engine that begins no part once a limit is reached.

    Attributes:
        engine: that does the work.
        clock: of the run.
        steps: names of the steps by their folders, in order.
        config: of the engine.
    """

    engine: Engine
    clock: Clock
    steps: Mapping[str, str]
    config: EngineConfig

    def run(self, stage: Stage, tasks: Sequence[Task]) -> Iterator[Receipt]:
        """Yield the receipts of the engine.

        Raises:
            LimitReached: there are parts left, which no start with this limit will compute.
        """
        rows, done = sum(task.n_rows for task in tasks), 0
        if tasks:
            self.clock.check(self._left(tasks[0], rows, 0, 0.0))
        began, n_receipts = time.monotonic(), 0
        for receipt in self.engine.run(stage, tasks):
            done, n_receipts = done + receipt.n_rows, n_receipts + 1
            yield receipt
            self.clock.note()
            if self.clock.reached:
                self.engine.stop()
        if n_receipts < len(tasks):
            self.clock.check(self._left(tasks[0], rows, done, time.monotonic() - began))

    def doing(self) -> list[Doing]:
        """As the engine."""
        return self.engine.doing()

    def stop(self) -> None:
        """As the engine."""
        self.engine.stop()

    def close(self) -> None:
        """As the engine."""
        self.engine.close()

    def _left(self, task: Task, rows: int, done: int, seconds: float) -> str:
        """What is left of a step, and which steps come after it."""
        folders = list(self.steps)
        after = folders[folders.index(task.folder) + 1 :] if task.folder in folders else []
        names = list(dict.fromkeys(self.steps[folder] for folder in after))
        name = self.steps.get(task.folder, task.folder)
        said = f"{name} has {rows - done:,} of {rows:,} rows left"
        if done and seconds:
            said += f", {_time((rows - done) * seconds / done)} at {done / seconds:,.1f} rows/s"
        return said + (f", then {', '.join(names)}" if names else "")


def limited(engine: Engine, clock: Clock, plan: Plan) -> Engine:
    """Return an engine that keeps to the limits of a run; the same one where there are none."""
    if clock.path is None:
        return engine
    names = {step.folder: step.name for step in plan.every_step}
    return LimitedEngine(engine, clock, names, engine.config)


def _hours(hours: float) -> str:
    return f"{hours:.2f} h" if hours >= 0.1 else f"{hours * 3600:.1f} s"


def _time(seconds: float) -> str:
    return _hours(seconds / 3600)
