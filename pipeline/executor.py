"""One step over all its missing parts: in this process, or by a pool of Ray actors.

Workers get descriptors of parts and return receipts; the data goes through the store, never through
Ray's object store. Results are the same bytes from every engine and any number of workers.
"""

import logging
import os
import secrets
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import PlanError, TamisError, WorkerError
from ..stages.base import Stage
from ..stages.locations import Location
from . import lookup
from .config import EngineConfig
from .task import Receipt, Task, compute, limit_threads

if TYPE_CHECKING:
    from ray.actor import ActorHandle

log = logging.getLogger(__name__)

ATTEMPTS = 3  # of a part whose worker dies
PATIENCE_S = 60  # without news, before it is said that nothing happens
OBJECT_STORE_BYTES = 256 << 20  # receipts are small


class Engine(Protocol):
    """Runs tasks of a stage."""

    config: EngineConfig

    def run(self, stage: Stage, tasks: Sequence[Task]) -> Iterator[Receipt]:
        """Yield a receipt for each task as it is done, in any order."""
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

    def run(self, stage: Stage, tasks: Sequence[Task]) -> Iterator[Receipt]:
        """Yield receipts in order of the tasks; a stage is set up once for all its rounds."""
        limit_threads(stage, self.config.threads)
        if tasks and stage is not self._ready:
            stage.setup()
            self._ready = stage
        for task in tasks:
            yield compute(stage, task, self.root)

    def close(self) -> None:
        """Nothing to end."""


class Worker:
    """A Ray actor: holds one stage at a time and computes parts with it."""

    def __init__(self, root: str, threads: int) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one thread per worker means one
        self.root, self.threads = root, threads
        self.name = ""
        self.stage: Stage | None = None

    def ready(self) -> None:
        """Answer, which says that the worker is up."""

    def compute(self, name: str, stage: Stage, task: Task) -> Receipt | TamisError | str:
        """Return a receipt, or what went wrong; a model is loaded with the first task of a step."""
        try:
            if name != self.name:
                self.stage = None  # free the memory of the stage before
                limit_threads(stage, self.threads)
                stage.setup()
                self.name, self.stage = name, stage
            return compute(self.stage or stage, task, self.root)
        except TamisError as error:
            return error
        except Exception:  # anything else is reported with its traceback, and ends the run
            return traceback.format_exc()


@dataclass
class RayEngine:
    """Runs tasks on a pool of actors, of a cluster or of this machine."""

    config: EngineConfig
    root: str
    _workers: list["ActorHandle"] = field(default_factory=list)
    _gpus: float = 0.0
    _started: bool = False

    def run(self, stage: Stage, tasks: Sequence[Task]) -> Iterator[Receipt]:
        """Yield receipts as they come; a part whose worker dies is tried again on a new one."""
        if not tasks:
            return
        import ray
        from ray.exceptions import OutOfMemoryError, RayActorError

        needs = self.reserve(stage)
        gpus = needs.get("GPU", 0.0)
        self._resize(min(self._n_workers(gpus), len(tasks)), gpus)
        name, handle = tasks[0].folder, ray.put(stage)
        waiting = [(task, 1) for task in reversed(tasks)]
        # A worker gets work once it is up: a cluster may be slow to find room for it, or never do.
        running: dict[Any, tuple[Task | None, int, ActorHandle]] = {
            worker.ready.remote(): (None, 1, worker) for worker in self._workers
        }
        idle: list[ActorHandle] = []
        while waiting or any(task for task, _, _ in running.values()):
            while waiting and idle:
                (next_task, attempt), worker = waiting.pop(), idle.pop()
                running[worker.compute.remote(name, handle, next_task)] = next_task, attempt, worker
            done, _ = ray.wait(list(running), num_returns=1, timeout=PATIENCE_S)
            if not done:
                if not any(task for task, _, _ in running.values()):
                    log.warning("no worker has come up for %d s; %s", PATIENCE_S, room(needs))
                continue
            task, attempt, worker = running.pop(done[0])
            try:
                result = ray.get(done[0])
            except (RayActorError, OutOfMemoryError) as error:
                attempt = _next_attempt(task, attempt, error)
                worker = self._replace(worker)
                running[worker.ready.remote()] = None, attempt if task is None else 1, worker
                waiting += [(task, attempt)] if task else []
                continue
            idle.append(worker)
            if task is not None:
                yield _receipt(result)

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
            _guard_with_token()
            options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
            workers = self.config.workers or 1
            asked = workers * self.config.threads
            options["num_cpus"] = asked if self.config.workers else max(os.cpu_count() or 1, asked)
        else:
            _check_reachable(address)
        import ray

        on_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise PlanError(f"engine.address {address!r}: cannot join Ray: {error}") from error
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
        }
        return ray.remote(Worker).options(**options).remote(self.root, self.config.threads)

    def _replace(self, dead: "ActorHandle") -> "ActorHandle":
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


def _next_attempt(task: Task | None, attempt: int, error: Exception) -> int:
    """The number of the next attempt at a part, or at starting a worker.

    Raises:
        WorkerError: there were enough.
    """
    first_line = str(error).strip().splitlines()[0]
    at = "as it started"
    if task is not None:
        at = f"on part {task.part.hash} (rows from {task.part.first} on) of {task.folder}"
    log.warning("a worker died %s (attempt %d): %s", at, attempt, first_line)
    if attempt == ATTEMPTS:
        raise WorkerError(f"a worker died {ATTEMPTS} times {at}: {first_line}") from error
    return attempt + 1


def _guard_with_token() -> None:
    """Let nobody else on the network join a cluster of ours: Ray listens beyond this machine.

    Ray reads the mode when it is imported; where it has been already, its user has decided.
    """
    if "RAY_AUTH_MODE" not in os.environ and "ray" not in sys.modules:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _check_reachable(address: str) -> None:
    """Say at once when nobody answers at an address: Ray itself tries for minutes, then exits."""
    host, colon, port = address.rpartition("://")[2].partition(":")
    if not colon or not port.isdigit():
        return  # `auto`, or an address that Ray must make sense of
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise PlanError(f"engine.address {address!r}: cannot join Ray: {error}") from error


def _receipt(result: Receipt | TamisError | str) -> Receipt:
    if isinstance(result, TamisError):
        raise result
    if isinstance(result, str):
        raise WorkerError(f"a worker failed unexpectedly:\n{result}")
    return result
