"""Which worker of the Ray engine is at what: hands jobs out, and takes back those of the dead."""

import logging
from typing import Any

from ..errors import TamisError, WorkerError
from .heartbeat import Doing
from .suspect import ATTEMPTS, Job, Jobs, where
from .task import Receipt
from .worker import Ready

Reference = Any  # Ray's, which only the engine imports
Handle = Any
log = logging.getLogger(__name__)


AHEAD = 2  # jobs that a worker has at once: one is computed, the other prepared, or waits its turn
QUICK_S = 0.5  # a worker without a GPU gets a second job where its last one took less


class Crew:
    """The workers of one step.

    A worker does its jobs in the order in which it got them, so the first is what a dead one
    was at. What is under suspicion, or was tried before, a worker gets alone.

    Attributes:
        stage: a reference to what new workers set up.
        starting: workers that set it up, with the attempt.
        working: the jobs that are being done.
        doing: who does what; read by another thread.
    """

    def __init__(self, folder: str, stage: Reference, prepares: bool) -> None:
        """Begin without workers.

        Args:
            folder: of the step.
            stage: in Ray's object store.
            prepares: a worker prepares its next job while it computes one.
        """
        self.folder, self.stage, self.prepares = folder, stage, prepares
        self.starting: dict[Reference, tuple[int, Handle]] = {}
        self.working: dict[Reference, tuple[Job, Handle]] = {}
        self.doing: dict[Any, Doing] = {}
        self._names: dict[Handle, str] = {}  # of those that are ready
        self._quick: dict[Handle, bool] = {}

    def begin(self, worker: Handle, attempt: int = 1) -> None:
        """Let a worker set the stage up; it gets jobs once it is ready."""
        reference = worker.begin.remote(self.folder, self.stage)
        self.starting[reference] = attempt, worker
        self.doing[reference] = Doing("a worker", "waits for room, or sets up")

    def hand_out(self, jobs: Jobs) -> None:
        """Give jobs to those who can take some."""
        while jobs.waiting and (worker := self._taker(jobs.waiting[-1])) is not None:
            job = jobs.waiting.pop()
            reference = worker.compute.remote(job.task)
            self.working[reference] = job, worker
            self.doing[reference] = Doing(self._names[worker], where(job.task))

    def finished(self, reference: Reference, jobs: Jobs, result: Ready | Receipt) -> Receipt | None:
        """Note what a worker has finished; return the receipt of a task, None of anything else."""
        del self.doing[reference]
        if isinstance(result, Ready):
            _, worker = self.starting.pop(reference)
            self._names[worker] = result.name
            return None
        job, worker = self.working.pop(reference)
        self._quick[worker] = result.seconds < QUICK_S
        return result if jobs.done(job) else None

    def lost(
        self, reference: Reference, jobs: Jobs, why: str, in_less_memory: bool = False
    ) -> tuple[Handle, int]:
        """Note that a worker has died at something; return it, and the attempt of the next one.

        Args:
            reference: of what it was at, or of what waited behind that.
            jobs: get back all that it had.
            why: the first line of what Ray says.
            in_less_memory: its jobs are tried so again, whatever was before.

        Raises:
            WorkerError: there is nothing left to try.
        """
        if reference in self.starting:
            del self.doing[reference]
            attempt, worker = self.starting.pop(reference)
            log.warning("a worker died as it started (attempt %d): %s", attempt, why)
            if attempt >= ATTEMPTS and not in_less_memory:
                raise WorkerError(f"a worker died {ATTEMPTS} times as it started: {why}")
            return worker, attempt + 1
        _, worker = self.working[reference]
        had = [own for own, (_, of) in self.working.items() if of is worker]
        at, *behind = [self.working.pop(own)[0] for own in had]
        for own in had:
            del self.doing[own]
        self._names.pop(worker, None)
        jobs.waiting += reversed(behind)
        if in_less_memory:
            jobs.waiting.append(at)
        else:
            jobs.died(at, why)
        return worker, 1

    def _taker(self, job: Job) -> Handle | None:
        """The worker that has least to do, if it may take a job."""
        if not self._names:
            return None
        has: dict[Handle, list[Job]] = {worker: [] for worker in self._names}
        for own, worker in self.working.values():
            has[worker].append(own)
        worker = min(has, key=lambda one: len(has[one]))
        if any(_alone(one) for one in (job, *has[worker])):
            return None if has[worker] else worker
        ahead = self.prepares or self._quick.get(worker, False)
        return worker if len(has[worker]) < (AHEAD if ahead else 1) else None


def _alone(job: Job) -> bool:
    return job.attempt > 1 or job.suspect is not None


def said(result: Ready | Receipt | TamisError | OSError | str) -> Ready | Receipt:
    """Return what a worker has done.

    Raises:
        TamisError, OSError: what it says went wrong, such as a full disk.
    """
    if isinstance(result, TamisError | OSError):
        raise result
    if isinstance(result, str):
        raise WorkerError(f"a worker failed unexpectedly:\n{result}")
    return result
