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


def hands(crew, worker):
    return [job for job, own in crew.working.values() if own is worker]


@pytest.mark.parametrize(("prepares", "given"), [(False, 2), (True, 4)])
def test_as_many_jobs_as_they_can_take(two, prepares, given):
    crew, jobs = Crew("mine-k", None, prepares), Jobs(TASKS)
    up(crew, two, jobs)
    assert len(crew.working) == given
    assert [len(hands(crew, worker)) for worker in two] == [given // 2] * 2
    assert len(jobs.waiting) == 4 - given
    assert {str(one).split(":")[0] for one in crew.doing.values()} == {
        f"process of {id(worker)}" for worker in two
    }


@pytest.mark.parametrize(("seconds", "given"), [(0.1, 2), (30.0, 1)])
def test_who_has_finished_gets_the_next_and_who_is_quick_two(two, seconds, given):
    crew, jobs = Crew("mine-k", None, prepares=False), Jobs(TASKS)
    up(crew, two[:1], jobs)
    reference, (job, worker) = next(iter(crew.working.items()))
    receipt = Receipt(job.task.part, 10, seconds)
    assert crew.finished(reference, jobs, receipt) is receipt
    crew.hand_out(jobs)
    assert [one.task for one in hands(crew, worker)] == TASKS[1 : 1 + given]
    assert len(crew.doing) == given


def test_the_dead_get_nothing_more_and_what_waited_behind_is_not_to_blame(two):
    """Whichever of its references is heard of first."""
    crew, jobs = Crew("mine-k", None, prepares=True), Jobs(TASKS[:2])
    up(crew, two[:1], jobs)
    _, second = crew.working
    assert crew.lost(second, jobs, "killed") == (two[0], 1)
    crew.hand_out(jobs)
    assert not crew.working
    assert not crew.doing
    assert [(job.task, job.attempt) for job in jobs.waiting] == [(TASKS[1], 1), (TASKS[0], 2)]


def test_what_killed_a_worker_is_given_out_alone(two):
    """Nothing stands behind it, and it stands behind nothing, so who is to blame is known."""
    crew, jobs = Crew("mine-k", None, prepares=True), Jobs(TASKS)
    up(crew, two[:1], jobs)
    crew.lost(next(iter(crew.working)), jobs, "killed")
    up(crew, two[1:], jobs)
    assert [(job.task, job.attempt) for job in hands(crew, two[1])] == [(TASKS[0], 2)]
    crew.finished(next(iter(crew.working)), jobs, Receipt(TASKS[0].part, 10, 0.1))
    crew.hand_out(jobs)
    assert [job.task for job in hands(crew, two[1])] == [TASKS[1], TASKS[2]]


def test_in_less_memory_an_attempt_does_not_count(two):
    crew, jobs = Crew("mine-k", None, prepares=False), Jobs(TASKS[:1])
    up(crew, two[:1], jobs)
    crew.lost(next(iter(crew.working)), jobs, "out of memory", in_less_memory=True)
    assert [job.attempt for job in jobs.waiting] == [1]


def test_a_worker_that_dies_as_it_starts(two):
    crew, jobs = Crew("mine-k", None, prepares=False), Jobs(TASKS)
    crew.begin(two[0])
    for attempt in range(1, ATTEMPTS):
        dead, following = crew.lost(next(iter(crew.starting)), jobs, "no library")
        assert (dead, following) == (two[0], attempt + 1)
        crew.begin(dead, following)
    with pytest.raises(WorkerError, match=f"died {ATTEMPTS} times as it started: no library"):
        crew.lost(next(iter(crew.starting)), jobs, "no library")


def test_a_worker_that_starts_in_less_and_less_memory_is_not_started_for_ever(two):
    crew, jobs = Crew("mine-k", None, prepares=False), Jobs(TASKS)
    attempt = 1
    for _ in range(ATTEMPTS + 1):
        crew.begin(two[0], attempt)
        _, attempt = crew.lost(next(iter(crew.starting)), jobs, "no memory", in_less_memory=True)
    crew.begin(two[0], attempt)
    with pytest.raises(WorkerError, match="as it started: no memory"):
        crew.lost(next(iter(crew.starting)), jobs, "no memory")
