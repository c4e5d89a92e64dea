from dataclasses import replace

import pytest
from tamis.errors import WorkerError
from tamis.pipeline.store import Part
from tamis.pipeline.suspect import ATTEMPTS, MANY, Jobs, where
from tamis.pipeline.task import Task

PART = Part("a" * 32, 100, 10)
TASK = Task(PART, ["score"], {}, "mine-k")


def clear_up(task, guilty, together=()):
    """Run jobs with a worker that dies of some rows, or of some where they are all there.

    Returns what was kept at last, and how often a worker died.
    """
    jobs, kept, deaths = Jobs([task]), [], 0
    while jobs.waiting:
        job = jobs.waiting.pop()
        places = job.task.some if job.task.some is not None else range(job.task.part.n_rows)
        here = set(places) - set(job.task.without)
        if here & set(guilty) or (together and set(together) <= here):
            deaths += 1
            jobs.died(job, "killed")
        elif jobs.done(job):
            kept.append(job.task)
    return kept, deaths


@pytest.mark.parametrize("guilty", [(0,), (9,), (3, 4), (0, 5, 9)])
def test_finds_the_rows_and_computes_the_part_without_them(guilty):
    kept, deaths = clear_up(TASK, guilty)
    assert kept == [replace(TASK, without=guilty)]
    assert deaths <= ATTEMPTS + len(guilty) * (ATTEMPTS + 4)  # 10 rows are halved 4 times


def test_a_part_whose_workers_died_for_other_reasons_is_computed_as_ever():
    """Deaths that have nothing to do with rows: nothing of the part is left out."""
    jobs = Jobs([TASK])
    for _ in range(ATTEMPTS):
        jobs.died(jobs.waiting.pop(), "the machine went down")
    kept = []
    while jobs.waiting:
        job = jobs.waiting.pop()
        if jobs.done(job):
            kept.append(job.task)
    assert kept == [TASK]


def test_a_part_of_one_row():
    task = replace(TASK, part=Part("b" * 32, 0, 1))
    assert clear_up(task, (0,))[0] == [replace(task, without=(0,))]


def test_one_death_is_no_suspicion():
    jobs = Jobs([TASK])
    jobs.died(jobs.waiting.pop(), "killed")
    (job,) = jobs.waiting
    assert (job.task, job.attempt, job.suspect) == (TASK, 2, None)


def test_rows_that_kill_only_together():
    with pytest.raises(WorkerError, match=r"though none of the rows it was given does"):
        clear_up(TASK, (), together=(0, 9))


def test_when_every_row_kills_it_is_not_the_rows():
    task = replace(TASK, part=Part("c" * 32, 0, 1000))
    with pytest.raises(WorkerError, match=rf"died on each of {MANY + 1} rows of part c+ "):
        clear_up(task, range(1000))


def test_in_later_rounds_the_rows_are_named():
    task = replace(TASK, some=(1, 5, 7), number=2)
    with pytest.raises(WorkerError, match=r"rows 5 of part a+ .* kill their worker in round 3"):
        clear_up(task, (5,))


def test_the_order_of_the_tasks_is_kept():
    tasks = [replace(TASK, part=Part(f"{i:032x}", 10 * i, 10)) for i in range(3)]
    jobs = Jobs(tasks)
    assert [jobs.waiting.pop().task for _ in tasks] == tasks


def test_where():
    assert where(TASK) == f"part {PART.hash} (rows from 100 on) of mine-k"
    assert where(replace(TASK, some=(1, 2))).startswith("2 rows of part")
