import pytest
from tamis.errors import WorkerError
from tamis.pipeline.crew import Crew
from tamis.pipeline.store import Part
from tamis.pipeline.suspect import ATTEMPTS, Jobs
from tamis.pipeline.task import Receipt, Task
from tamis.pipeline.worker import Ready

TASKS = [Task(Part(f"{i:032x}", 10 * i, 10), ["score"], {}, "mine-k") for i in range(4)]


class Handle:
    """An actor that never runs: calls give numbers in place of references."""

    made = iter(range(10**6))

    def __init__(self):
        self.begin = self.compute = self

    def remote(self, *given):
        return next(self.made)


@pytest.fixture
def two():
    return Handle(), Handle()


def up(crew, workers, jobs):
    """Let workers begin and become ready; hand out."""
    for worker in workers:
        crew.begin(worker)
    for reference, (_, worker) in list(crew.starting.items()):
        crew.finished(reference, jobs, Ready(f"process of {id(worker)}"))
    crew.hand_out(jobs)


@pytest.mark.parametrize(("depth", "given"), [(1, 2), (2, 4)])
def test_as_many_jobs_as_they_can_take(two, depth, given):
    crew, jobs = Crew("mine-k", None, depth), Jobs(TASKS)
    up(crew, two, jobs)
    assert len(crew.working) == given
    assert len(jobs.waiting) == 4 - given
    assert {str(one).split(":")[0] for one in crew.doing.values()} == {
        f"process of {id(worker)}" for worker in two
    }


def test_who_has_finished_gets_the_next(two):
    crew, jobs = Crew("mine-k", None, 1), Jobs(TASKS)
    up(crew, two, jobs)
    reference, (job, worker) = next(iter(crew.working.items()))
    receipt = Receipt(job.task.part, 10, 0.1)
    assert crew.finished(reference, jobs, receipt) is receipt
    crew.hand_out(jobs)
    assert [own for _, own in crew.working.values()].count(worker) == 1
    assert len(crew.doing) == 2


def test_the_dead_get_nothing_more_and_their_jobs_go_to_others(two):
    crew, jobs = Crew("mine-k", None, 2), Jobs(TASKS[:2])
    up(crew, two[:1], jobs)
    first, second = crew.working
    assert crew.lost(first, jobs, "killed") == (two[0], 1)
    assert crew.lost(second, jobs, "killed") == (two[0], 1)
    crew.hand_out(jobs)
    assert not crew.working
    assert not crew.doing
    assert [job.attempt for job in jobs.waiting] == [2, 2]


def test_in_less_memory_an_attempt_does_not_count(two):
    crew, jobs = Crew("mine-k", None, 1), Jobs(TASKS[:1])
    up(crew, two[:1], jobs)
    crew.lost(next(iter(crew.working)), jobs, "out of memory", in_less_memory=True)
    assert [job.attempt for job in jobs.waiting] == [1]


def test_a_worker_that_dies_as_it_starts(two):
    crew, jobs = Crew("mine-k", None, 1), Jobs(TASKS)
    crew.begin(two[0])
    for attempt in range(1, ATTEMPTS):
        dead, following = crew.lost(next(iter(crew.starting)), jobs, "no library")
        assert (dead, following) == (two[0], attempt + 1)
        crew.begin(dead, following)
    with pytest.raises(WorkerError, match=f"died {ATTEMPTS} times as it started: no library"):
        crew.lost(next(iter(crew.starting)), jobs, "no library")
