"""The warm-up of gradient signals: adapters trained on a share of the pool, kept in the store.

    store/warmup-<key>/checkpoint-<epoch>/   see `stages.checkpoints`
    store/warmup-<key>/step.json             the text that was hashed into the key

A start finds finished epochs and trains the rest: in this process, or by `warmup.workers` workers
of Ray Train, which share the rows of every step. The adapters' content is in the gradients' key.
"""

import logging
import os
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PlanError, TamisError, WorkerError
from ..stages.locations import locate
from .config import Config, EngineConfig
from .executor import RayEngine, room
from .heartbeat import PATIENCE_S
from .limits import Clock, left_to_train
from .logs import Reporter
from .pool import Pool, check_strict, find_pool, pool_key, read_pool
from .store import Store, open_store
from .suspect import ATTEMPTS
from .task import limit_threads
from .warmups import Wanted, WarmedUp, needs_training, wanted, warmed_up, with_adapters

if TYPE_CHECKING:
    from ray.train.torch import TorchTrainer
    from ray.util.queue import Queue

log = logging.getLogger(__name__)

Facts = dict[str, Any]
POLL_S = 0.5  # between looks whether the workers are still at it


def prepared(
    config: Config, store: Store, pool: Pool, reporter: Reporter, clock: Clock | None = None
) -> Config:
    """Return a config whose gradient signals have their adapters; train what is missing of them.

    It is for the plan alone: the config of a run names no folder of the store.

    Args:
        config: with everything open settled.
        store: where adapters live.
        pool: whose rows are trained on.
        reporter: shows the progress.
        clock: of the run, where it has limits.

    Raises:
        TamisError: what stopped it; finished epochs are kept.
    """
    asked = wanted(config, store, pool)
    for one in asked:  # all of them, before hours go into the first
        _check_engine(one, config.engine)
    for one in asked:
        job = _Job(one, pool, str(store.root.absolute()))
        _train(job, config.engine, reporter, clock or Clock())
    return with_adapters(config, asked)


def warm_up(config: Config, reporter: Reporter) -> list[WarmedUp]:
    """Train the adapters of a config; return what they are.

    Raises:
        PlanError: no signal has a `warmup`.
        TamisError: what stopped it; finished epochs are kept.
    """
    from .run import pin, undamaged

    if not needs_training(config):
        raise PlanError(
            f"no signal of this config has a `warmup`; the signals are "
            f"{', '.join(config.signals) or '(none)'}"
        )
    config = pin(config)
    store, name = open_store(config.store), pool_key(config)
    pool = find_pool(store, name) or read_pool(config, store, name, lambda n: None)
    check_strict(config, store, pool)

    def work() -> list[WarmedUp]:
        return warmed_up(prepared(config, store, pool, reporter).signals)

    return undamaged(store, config, work)


def _check_engine(one: Wanted, engine: EngineConfig) -> None:
    """Raise if several workers are wanted of an engine that has none.

    Raises:
        PlanError: so, and there is something to be trained.
    """
    from ..stages.lora import last_epoch  # torch

    workers, missing = one.settings.workers, last_epoch(one.folder) < one.settings.epochs
    if workers > 1 and missing and engine.kind != "ray":
        said = f"signals.{one.name}.warmup.workers is {workers}, but engine.kind is {engine.kind}"
        raise PlanError(f"{said}; several workers need engine.kind: ray")


def _train(job: "_Job", engine: EngineConfig, reporter: Reporter, clock: Clock) -> None:
    """Train what is missing of one warm-up."""
    from ..stages.lora import check_epochs, last_epoch  # torch

    one = job.wanted
    done, epochs = last_epoch(one.folder), one.settings.epochs
    check_epochs(one.folder, epochs)
    if done >= epochs:
        return
    clock.check(left_to_train(one.name, epochs - done))
    Store(locate(job.root)).describe(one.folder.name, one.text)
    title, alone = f"{one.name}, warm-up on {len(one.places):,} rows", one.settings.workers == 1
    with reporter.step(title, len(one.places) * (epochs - done)) as counter:
        for facts in job.run(counter.add) if alone else _together(job, engine, counter.add):
            if facts["epoch"] > done:
                done = facts["epoch"]
                log.info("%s: epoch %d, loss %.4f", title, done, facts["loss"])
                reporter.say(f"{one.name}: epoch {done}, loss {facts['loss']:.4f} nats")
                clock.check(left_to_train(one.name, epochs - done))


@dataclass(frozen=True)
class _Job:
    """What every worker of a warm-up is told; it reads the rows themselves from the store."""

    wanted: Wanted
    pool: Pool
    root: str

    def run(self, progress: Callable[[int, int], None], together: bool = False) -> Iterator[Facts]:
        """Train in this process, alone or together with others; yield as `Training.run`."""
        from ..stages.crew import ALONE, crew_of_process_group  # torch
        from ..stages.lora import training_of

        one = self.wanted
        limit_threads(one.signal, one.settings.threads or 1)
        rows = one.rows(Store(locate(self.root)), self.pool)
        crew = crew_of_process_group() if together else ALONE
        return training_of(one.signal, one.settings, rows, progress, crew).run(one.folder)


@dataclass(frozen=True)
class _Failure:
    """What stopped a worker: the error where the user can mend it, else the traceback."""

    rank: int
    error: TamisError | OSError | str


def _work(job: _Job, queue: "Queue") -> None:
    """Train as one of several workers, and tell the queue what happens."""
    import ray.train

    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one thread per worker means one
    rank = ray.train.get_context().get_world_rank()
    queue.put((0, 0))  # up
    try:
        for facts in job.run(lambda *done: queue.put(done), together=True):
            queue.put(facts)
    except (TamisError, OSError) as error:
        queue.put(_Failure(rank, error))
        raise
    except Exception:  # anything else is reported with its traceback, and ends the run
        queue.put(_Failure(rank, traceback.format_exc()))
        raise


def _together(
    job: _Job, engine: EngineConfig, progress: Callable[[int, int], None]
) -> Iterator[Facts]:
    """Train on several workers; where one dies, all go on after the last finished epoch."""
    said, name = job.wanted.settings, job.wanted.name
    own = engine.model_copy(update={"workers": said.workers, "threads": said.threads})
    with closing(RayEngine(own, job.root)) as ray_engine:
        needs = ray_engine.reserve(job.wanted.signal, said.workers)
        for attempt in range(1, ATTEMPTS + 1):
            died = yield from _attempt(job, needs, progress)
            if not died:
                return
            log.warning("a worker of the warm-up died (attempt %d): %s", attempt, died)
    raise WorkerError(f"a worker of the warm-up of {name} died {ATTEMPTS} times: {died}")


def _attempt(
    job: _Job, needs: Mapping[str, float], progress: Callable[[int, int], None]
) -> Generator[Facts, None, str]:
    """Train until all is done or a worker fails; return why one died, or nothing.

    Raises:
        TamisError, OSError: of a worker, as it raised it.
        WorkerError: anything else went wrong there.
    """
    from ray.util.queue import Queue

    from ..stages.lora import last_epoch  # torch

    queue, ended = Queue(actor_options={"num_cpus": 0}), Future[None]()
    n, scratch = job.wanted.settings.workers, job.wanted.folder / f".ray.{os.getpid()}.partial"
    trainer = _trainer(partial(_work, job, queue), needs, n, scratch)

    def fit() -> None:
        try:
            trainer.fit()
            ended.set_result(None)
        except BaseException as error:  # for the main thread to raise
            ended.set_exception(error)

    # beside the main thread, where Ray Train would take over what Ctrl-C does
    threading.Thread(target=fit, daemon=True).start()
    failures: list[_Failure] = []
    before, seen, kept = last_epoch(job.wanted.folder), 0, 0
    try:
        for message in _messages(queue, ended, lambda: room(needs, n)):
            if isinstance(message, _Failure):
                failures.append(message)
            elif isinstance(message, dict):
                kept += message["rows"] * (message["epoch"] > before)
                yield message
            else:
                seen += message[0]
                progress(*message)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        queue.shutdown(force=True)
    progress(kept - seen, 0)  # the rows of an unfinished epoch, which another attempt repeats
    return _why(ended.exception(), failures)


def _messages(
    queue: "Queue", ended: "Future[None]", room: Callable[[], str]
) -> Iterator[_Failure | Facts | tuple[int, int]]:
    """Yield what the workers say until they have ended; warn while none has come up."""
    from ray.util.queue import Empty

    is_up, warned = False, time.monotonic()
    while True:
        last = ended.done()  # nothing is put into the queue after that
        try:
            yield queue.get(block=not last, timeout=POLL_S)
            is_up = True
        except Empty:
            if last:
                return
        if not is_up and time.monotonic() - warned > PATIENCE_S:
            warned = time.monotonic()
            log.warning("no worker has come up for %d s; %s", PATIENCE_S, room())


def _trainer(
    work: Callable[[], None], needs: Mapping[str, float], n: int, scratch: Path
) -> "TorchTrainer":
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # the path of a model may be relative
    gpus = needs.get("GPU", 0.0)
    scaling = ScalingConfig(num_workers=n, use_gpu=gpus > 0, resources_per_worker=dict(needs))
    return TorchTrainer(
        work,
        torch_config=TorchConfig(backend="nccl" if gpus >= 1 else "gloo"),
        scaling_config=scaling,
        run_config=RunConfig(name="warmup", storage_path=str(scratch)),
    )


def _why(failure: BaseException | None, said: Sequence[_Failure]) -> str:
    """Return why a worker died without a word; nothing where all is well.

    Args:
        failure: of the training as a whole.
        said: by workers that failed, in order.

    Raises:
        TamisError, OSError: of a worker, as it raised it.
        WorkerError: anything else went wrong.
    """
    if failure is None:
        return ""
    for one in said:
        if not isinstance(one.error, str):
            raise one.error
    failed: Mapping[int, Exception] = getattr(failure, "worker_failures", {})
    silent = failed.keys() - {one.rank for one in said}  # others fail because these have died
    if silent:
        lost = failed[min(silent)]
        reason = getattr(lost, "health_check_failure", lost)  # what Ray wraps says more
        return str(reason).strip().splitlines()[0]
    text = said[0].error if said else str(failure)
    raise WorkerError(f"a worker of the warm-up failed unexpectedly:\n{text}") from failure
