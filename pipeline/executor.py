"""One step over all its missing parts: in this process, or by a pool of Ray actors.

Workers get descriptors of parts and return receipts; the data goes through the store, never through
Ray's object store. Results are the same bytes from every engine and any number of workers.
"""

import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import NoAnswer, PlanError
from ..stages.base import Stage
from ..stages.locations import Location
from . import lookup
from .access import AUTH, check_reachable, keep_to_ourselves
from .config import EngineConfig
from .crew import AHEAD, Crew, said
from .heartbeat import PATIENCE_S, Doing
from .meter import Meter
from .suspect import Jobs, where
from .task import Receipt, Task, compute, limit_threads, read_ahead
from .worker import Worker

if TYPE_CHECKING:
    from ray.actor import ActorHandle

log = logging.getLogger(__name__)

OBJECT_STORE_BYTES = 256 << 20  # receipts are small


class Engine(Protocol):
    """Runs tasks of a stage."""

    config: EngineConfig

    def run(self, stage: Stage, tasks: Sequence[Task]) -> Iterator[Receipt]:
        """Yield a receipt for each task as it is done, in any order."""
        ...

    def doing(self) -> list[Doing]:
        """Return who works on what; may be called from another thread."""
        ...

    def stop(self) -> None:
        """Begin no more tasks; those that are being worked on are finished, and `run` ends."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...


def open_engine(config: EngineConfig, root: Location) -> Engine:
    """Return the engine of a config for a store; nothing is started before the first task."""
    kind = LocalEngine if config.kind == "local" else RayEngine
    return kind(config, str(root.absolute()))


@dataclass
class LocalEngine:
    """Runs every task in this process, one after the other."""

    config: EngineConfig
    root: str
    _ready: Stage | None = None
    _doing: list[Doing] = field(default_factory=list)
    _stopping: bool = False

    def run(self, stage: Stage, tasks: Sequence[Task]) -> Iterator[Receipt]:
        """Yield receipts in order of the tasks; a stage is set up once for all its rounds.

        Raises:
            NoAnswer: parts are left for another start; all others are done before.
        """
        limit_threads(stage, self.config.threads)
        if tasks and stage is not self._ready:
            if stage.resources().here:
                stage.use_store(self.root)
            stage.setup()
            self._ready = stage
        ahead = read_ahead(stage, tasks, self.root) if stage.resources().gpus else repeat(None)
        left: NoAnswer | None = None
        for task, rows in zip(tasks, ahead, strict=False):
            if self._stopping:
                break
            self._doing = [Doing("this process", where(task))]
            try:
                receipt = compute(stage, task, self.root, rows)
            except NoAnswer as error:
                left = error if left is None else left.with_other(error)
            else:
                yield receipt
        self._doing = []
        if left is not None:
            raise left

    def doing(self) -> list[Doing]:
        """Return what this process is at."""
        return self._doing

    def stop(self) -> None:
        """Begin no more tasks."""
        self._stopping = True

    def close(self) -> None:
        """Nothing to end."""


@dataclass
class RayEngine:
    """Runs tasks on a pool of actors, of a cluster or of this machine."""

    config: EngineConfig
    root: str
    _workers: list["ActorHandle"] = field(default_factory=list)
    _doing: dict[Any, Doing] = field(default_factory=dict)
    _gpus: float = 0.0
    _started: bool = False
    _jobs: Jobs = field(default_factory=lambda: Jobs(()))
    _here: LocalEngine = field(init=False)

    def __post_init__(self) -> None:
        self._here = LocalEngine(self.config, self.root)

    def run(self, stage: Stage, tasks: Sequence[Task]) -> Iterator[Receipt]:
        """Yield receipts as they come; a part whose worker dies is tried again on a new one.

        Raises:
            TamisError: a worker cannot start, or what it could not do.
        """
        if tasks:
            yield from (self._here.run if stage.resources().here else self._run)(stage, tasks)

    def _run(self, stage: Stage, tasks: Sequence[Task]) -> Iterator[Receipt]:
        needs = self.reserve(stage)  # before the imports: Ray reads then where to listen
        import ray
        from ray.exceptions import OutOfMemoryError, RayActorError
        from ray.util import metrics

        gpus = needs.get("GPU", 0.0)
        self._resize(min(self._n_workers(gpus), len(tasks)), gpus)
        self._jobs = jobs = Jobs(tasks)
        crew = Crew(tasks[0].folder, ray.put(stage), prepares=bool(gpus))
        self._doing = crew.doing
        meter = Meter(metrics, tasks[0].folder, len(tasks))
        for worker in self._workers:  # a cluster may be slow to find room for it, or never do
            crew.begin(worker)
        while jobs.waiting or crew.working:
            crew.hand_out(jobs)
            done, _ = ray.wait([*crew.starting, *crew.working], num_returns=1, timeout=PATIENCE_S)
            if not done:
                if not crew.working:
                    log.warning("no worker has come up for %d s; %s", PATIENCE_S, room(needs))
                continue
            try:
                result = said(ray.get(done[0]))
            except (RayActorError, OutOfMemoryError) as error:
                meter.died()
                less = stage.smaller() if isinstance(error, OutOfMemoryError) else None
                if less is not None:
                    log.warning("a worker was killed for want of memory; batches are halved")
                    stage, crew.stage = less, ray.put(less)
                why = str(error).strip().splitlines()[0]
                dead, attempt = crew.lost(done[0], jobs, why, less is not None)
                if dead in self._workers:  # not yet replaced
                    crew.begin(self._replace(dead), attempt)
                continue
            if (receipt := crew.finished(done[0], jobs, result)) is not None:
                meter.done(receipt)
                yield receipt

    def doing(self) -> list[Doing]:
        """Return what each worker is at."""
        return [*self._here.doing(), *self._doing.values()]

    def reserve(self, stage: Stage, n: int = 1) -> dict[str, float]:
        """Join Ray, and let the user's classes travel; return what a worker of a stage needs of it.

        Raises:
            PlanError: Ray cannot be joined, or the whole cluster has not what `n` workers need at
                once: they would wait for ever.
        """
        self._start()
        import ray

        gpus, own = stage.resources().gpus, self.config.gpus_per_worker
        gpus = own if gpus and own is not None else gpus
        all_needs = {"CPU": self.config.threads, "GPU": gpus, "memory": self.config.memory or 0}
        needs = {name: float(amount) for name, amount in all_needs.items() if amount}
        has = ray.cluster_resources()
        if any(has.get(name, 0) < n * amount for name, amount in needs.items()):
            raise PlanError(f"engine: {room(needs, n)}")
        for module in lookup.USER_MODULES:  # which workers could not import
            ray.cloudpickle.register_pickle_by_value(module)
        return needs

    def stop(self) -> None:
        """Hand out no more tasks."""
        self._here.stop()
        self._jobs.waiting.clear()

    def close(self) -> None:
        """Leave the cluster, and end it if it was started for this run."""
        if self._started:
            import ray

            self._workers.clear()
            ray.shutdown()
            self._started = False

    def _start(self) -> None:
        if self._started:
            return
        address = self.config.address or os.environ.get("RAY_ADDRESS") or "local"
        options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        if address == "local":
            keep_to_ourselves()
            options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
            asked = (self.config.workers or 1) * self.config.threads
            options["num_cpus"] = asked if self.config.workers else max(os.cpu_count() or 1, asked)
        else:
            check_reachable(address)
        import ray

        on_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            why = f"cannot join Ray: {error} ({AUTH})"
            raise PlanError(f"engine.address {address!r}: {why}") from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own prints a stack and aborts
        self._started = True

    def _n_workers(self, gpus: float) -> int:
        import ray

        if self.config.workers:
            return self.config.workers
        has = ray.cluster_resources()
        if gpus:
            return max(int(has.get("GPU", 0) / gpus), 1)
        return max(int(has.get("CPU", 1) / self.config.threads), 1)

    def _resize(self, n: int, gpus: float) -> None:
        import ray

        if gpus != self._gpus:
            for worker in self._workers:
                ray.kill(worker)
            self._workers.clear()
            self._gpus = gpus
        while len(self._workers) < n:
            self._workers.append(self._new())

    def _new(self) -> "ActorHandle":
        import ray

        options: Mapping[str, Any] = {
            "num_cpus": self.config.threads,
            "num_gpus": self._gpus,
            "memory": self.config.memory,
            "max_concurrency": AHEAD if self._gpus else 1,
        }
        return ray.remote(Worker).options(**options).remote(self.root, self.config.threads)

    def _replace(self, dead: "ActorHandle") -> "ActorHandle":
        import ray

        ray.kill(dead)  # it may only have been out of reach
        self._workers.remove(dead)
        self._workers.append(self._new())
        return self._workers[-1]


def room(needs: Mapping[str, float], n: int = 1) -> str:
    """Say what `n` workers need at once, and what the cluster has of it."""
    import ray

    has = ray.cluster_resources()
    shown = ", ".join(
        f"{n * amount:,g} {name} (there are {has.get(name, 0):,g})"
        for name, amount in needs.items()
    )
    return f"a worker needs {shown}" if n == 1 else f"{n} workers at once need {shown}"
