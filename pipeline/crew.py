"""Which worker of the Ray engine is at what: hands jobs out, and takes back those of the dead."""

import logging
from typing import Any

from ..errors import WorkerError
from .heartbeat import Doing
from .suspect import ATTEMPTS, Job, Jobs, where
from .task import Receipt
from .worker import Ready

Reference = Any  # Ray's, which only the engine imports
Handle = Any
log = logging.getLogger(__name__)


class Crew:
    """The workers of one step.

    Attributes:
        stage: a reference to what new workers set up.
        starting: workers that set it up, with the attempt.
        working: the jobs that are being done.
        doing: who does what; read by another thread.
    """

    def __init__(self, folder: str, stage: Reference, depth: int) -> None:
        """Begin without workers.

        Args:
            folder: of the step.
            stage: in Ray's object store.
            depth: how many jobs a worker has at once; it computes one of them.
        """
        self.folder, self.stage, self.depth = folder, stage, depth
        self.starting: dict[Reference, tuple[int, Handle]] = {}
        self.working: dict[Reference, tuple[Job, Handle]] = {}
        self.doing: dict[Any, Doing] = {}
        self._free: list[Handle] = []
        self._names: dict[Handle, str] = {}

    def begin(self, worker: Handle, attempt: int = 1) -> None:
        """Let a worker set the stage up; it gets jobs once it is ready."""
        reference = worker.begin.remote(self.folder, self.stage)
        self.starting[reference] = attempt, worker
        self.doing[reference] = Doing("a worker", "waits for room, or sets up")

    def hand_out(self, jobs: Jobs) -> None:
        """Give jobs to those who can take some."""
        while jobs.waiting and self._free:
            job, worker = jobs.waiting.pop(), self._free.pop()
            reference = worker.compute.remote(job.task)
            self.working[reference] = job, worker
            self.doing[reference] = Doing(self._names[worker], where(job.task))

    def finished(self, reference: Reference, jobs: Jobs, result: Ready | Receipt) -> Receipt | None:
        """Note what a worker has finished; return the receipt of a task, None of anything else."""
        del self.doing[reference]
        if isinstance(result, Ready):
            _, worker = self.starting.pop(reference)
            self._names[worker] = result.name
            self._free += [worker] * self.depth
            return None
        job, worker = self.working.pop(reference)
        self._free.append(worker)
        return result if jobs.done(job) else None

    def lost(
        self, reference: Reference, jobs: Jobs, why: str, in_less_memory: bool = False
    ) -> tuple[Handle, int]:
        """Note that a worker has died at something; return it, and the attempt of the next one.

        Args:
            reference: of what it was at.
            jobs: get it back.
            why: the first line of what Ray says.
            in_less_memory: its job is tried so again, whatever was before.

        Raises:
            WorkerError: there is nothing left to try.
        """
        del self.doing[reference]
        if reference in self.starting:
            attempt, worker = self.starting.pop(reference)
            log.warning("a worker died as it started (attempt %d): %s", attempt, why)
            if attempt == ATTEMPTS and not in_less_memory:
                raise WorkerError(f"a worker died {ATTEMPTS} times as it started: {why}")
            return worker, attempt + 1
        job, worker = self.working.pop(reference)
        self._free = [one for one in self._free if one is not worker]
        if in_less_memory:
            jobs.waiting.append(job)
        else:
            jobs.died(job, why)
        return worker, 1
