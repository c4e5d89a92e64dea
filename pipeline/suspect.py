"""What waits to be computed, and what to do with a part that kills its worker again and again.

It is tried `ATTEMPTS` times. Then its rows are tried by halves, without keeping what comes out,
until single rows are found that kill a worker each time. Then the whole part is computed without
them, so what is kept depends on which rows these are and not on how they were found; where there
are none (machines died for reasons of their own), it is computed as ever.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..errors import WorkerError
from .task import Task

log = logging.getLogger(__name__)

ATTEMPTS = 3  # of a part, or of a single row, whose worker dies
MANY = 16  # rows of a part that kill their worker: then it is not the rows


@dataclass(frozen=True)
class Job:
    """A task on its way to a worker.

    Attributes:
        task: what is to be done.
        attempt: from 1.
        suspect: the part that it is to clear up, if there is one.
    """

    task: Task
    attempt: int = 1
    suspect: "Suspect | None" = None


@dataclass
class Suspect:
    """The search in one part.

    Attributes:
        task: the part as it should have been computed.
        guilty: places of the rows found so far.
    """

    task: Task
    guilty: list[int] = field(default_factory=list)
    _open: int = 0

    def search(self) -> list[Job]:
        """Return what is to be tried first."""
        places = self.task.some if self.task.some is not None else range(self.task.part.n_rows)
        return self._halves(tuple(places))

    def survived(self) -> list[Job]:
        """Return what is to be done after a trial that killed no worker."""
        self._open -= 1
        return self._next()

    def died(self, job: Job, why: str) -> list[Job]:
        """Return what is to be done after a trial that killed its worker.

        Raises:
            WorkerError: so many rows kill their worker that it is not the rows.
        """
        places = job.task.some or ()
        self._open -= 1
        if len(places) > 1:
            return self._halves(places)
        if job.attempt < ATTEMPTS:
            self._open += 1
            return [replace(job, attempt=job.attempt + 1)]
        self.guilty += places
        if len(self.guilty) > MANY:
            raise WorkerError(
                f"a worker died on each of {len(self.guilty)} rows of part {self.task.part.hash} "
                f"(rows from {self.task.part.first} on) of {self.task.folder}: {why}"
            )
        return self._next()

    def _halves(self, places: tuple[int, ...]) -> list[Job]:
        middle = len(places) // 2
        halves = [half for half in (places[:middle], places[middle:]) if half]
        self._open += len(halves)
        return [Job(replace(self.task, some=half, trial=True), suspect=self) for half in halves]

    def _next(self) -> list[Job]:
        if self._open:
            return []
        without = tuple(sorted(self.guilty))
        if without and self.task.number:
            raise WorkerError(
                f"rows {', '.join(map(str, without))} of part {self.task.part.hash} (rows from "
                f"{self.task.part.first} on) kill their worker in round {self.task.number + 1} of "
                f"{self.task.folder}; take them out of the data"
            )
        return [Job(replace(self.task, without=without), suspect=self)]


class Jobs:
    """The jobs of a step that no worker has, the next one last.

    Attributes:
        waiting: these.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.waiting = [Job(task) for task in reversed(tasks)]

    def done(self, job: Job) -> bool:
        """Return whether a finished job was a task, and no trial."""
        if job.suspect is not None and job.task.trial:
            self.waiting += reversed(job.suspect.survived())
            return False
        return True

    def died(self, job: Job, why: str) -> None:
        """Put back what a dead worker was at.

        Raises:
            WorkerError: there is nothing left to try.
        """
        at = f"on {where(job.task)}"
        log.warning("a worker died %s (attempt %d): %s", at, job.attempt, why)
        self.waiting += reversed(self._after(job, at, why))

    def _after(self, job: Job, at: str, why: str) -> list[Job]:
        if job.suspect is not None and job.task.trial:
            return job.suspect.died(job, why)
        if job.attempt < ATTEMPTS:
            return [replace(job, attempt=job.attempt + 1)]
        if job.suspect is None:
            log.warning("%d deaths %s: its rows are tried by halves", ATTEMPTS, at)
            return Suspect(job.task).search()
        raise WorkerError(
            f"a worker died {ATTEMPTS} times more {at}, though none of the rows it was given does "
            f"that by itself: {why}"
        )


def where(task: Task) -> str:
    """Return which rows of which step a task is about."""
    some = f"{len(task.some)} rows of " if task.some is not None else ""
    return f"{some}part {task.part.hash} (rows from {task.part.first} on) of {task.folder}"
