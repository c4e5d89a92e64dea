import os
import pickle
import threading
from dataclasses import replace

import pyarrow as pa
import pytest
from pydantic import PrivateAttr
from tamis.errors import ContractError, ModelError
from tamis.pipeline.store import Address, Part, Store
from tamis.pipeline.task import Receipt, Task
from tamis.pipeline.worker import Ready, Worker
from tamis.stages.base import ROWS, Stage

PART = Part("a" * 32, 0, 2)
TASK = Task(PART, ["n"], {"sample_id": Address("", "sample_id")}, "count-k")


class Count(Stage):
    """A number for each row; waits for others where it is told so."""

    _log: list = PrivateAttr(default_factory=list)
    _wait: dict = PrivateAttr(default_factory=dict)

    @property
    def reads(self):
        return pa.schema([ROWS.field("sample_id")])

    @property
    def adds(self):
        return pa.schema([("n", pa.int64())])

    def setup(self):
        self._log.append("setup")
        if error := self._wait.get("error"):
            raise error

    def prepare(self, rows):
        self._log.append("prepare")
        if "prepared" in self._wait:
            self._wait["prepared"].release()

    def run(self, rows, wanted):
        if "go" in self._wait:
            assert self._wait["go"].acquire(timeout=20)
        self._log.append("run")
        return pa.table({"n": pa.array([1] * len(rows), pa.int64())})


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path)
    rows = pa.table({"position": pa.array([0, 1], pa.int32()), "sample_id": ["x", "y"]})
    found.write_rows(PART, rows)
    return found


def worker_of(store, **waits):
    stage = Count()
    stage._log, stage._wait = [], waits
    return Worker(str(store.root), 1), stage


def test_a_stage_is_set_up_once_for_a_step(store):
    worker, stage = worker_of(store)
    ready = worker.begin("count-k", stage)
    assert isinstance(ready, Ready)
    assert f"process {os.getpid()} on " in ready.name
    assert worker.begin("count-k", stage) == ready
    found = worker.compute(TASK)
    assert isinstance(found, Receipt)
    assert stage._log == ["setup", "prepare", "run"]
    assert store.missing("count-k", ("n",), [PART]) == {}


@pytest.mark.parametrize("error", [ModelError("no such model"), OSError(28, "full")])
def test_what_the_user_can_mend_is_returned_as_it_is(store, error):
    worker, stage = worker_of(store, error=error)
    assert worker.begin("count-k", stage) is error


def test_anything_else_is_returned_as_a_traceback(store):
    worker, stage = worker_of(store, error=KeyError("else"))
    assert "KeyError: 'else'" in worker.begin("count-k", stage)
    worker, stage = worker_of(store)
    worker.begin("count-k", stage)
    assert isinstance(worker.compute(Task(PART, ["m"], TASK.reads, "count-k")), str)


class Far(OSError):
    """Made of two words, which its pickle does not know."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


@pytest.mark.parametrize(
    ("error", "said"),
    [(Far("no", "answer"), "no answer"), (TimeoutError(110, "late"), "[Errno 110] late")],
)
def test_an_error_that_cannot_be_made_again_elsewhere_is_made_plain(store, error, said):
    worker, stage = worker_of(store, error=error)
    again = pickle.loads(pickle.dumps(worker.begin("count-k", stage)))
    assert isinstance(again, OSError)
    assert str(again) == said


def test_code_that_ends_the_process_does_not(store):
    """Else it would look like a crash, and each row be tried alone."""
    worker, stage = worker_of(store, error=SystemExit(0))
    said = worker.begin("count-k", stage)
    assert isinstance(said, ContractError)
    assert "ended the process (SystemExit: 0)" in str(said)


def test_a_task_of_another_step_is_never_computed_with_this_one(store):
    """Two steps of a kind have columns of the same names."""
    worker, stage = worker_of(store)
    worker.begin("count-k", stage)
    assert "is not what was set up" in worker.compute(replace(TASK, folder="count-j"))
    assert store.missing("count-j", ("n",), [PART]) == {PART: ["n"]}


def test_our_errors_come_as_they_are(store):
    worker, stage = worker_of(store)
    worker.begin("count-k", stage)
    worker.stage = Wrong()
    assert isinstance(worker.compute(TASK), ContractError)


class Wrong(Count):
    """One row too few."""

    def run(self, rows, wanted):
        return pa.table({"n": pa.array([1], pa.int64())})


def test_the_next_part_is_prepared_while_one_is_computed(store):
    """The first waits in `run` until the second has been read and prepared."""
    prepared, go = threading.Semaphore(0), threading.Semaphore(0)
    worker, stage = worker_of(store, prepared=prepared, go=go)
    worker.begin("count-k", stage)
    both = [threading.Thread(target=worker.compute, args=(TASK,)) for _ in range(2)]
    for thread in both:
        thread.start()
    for _ in both:
        assert prepared.acquire(timeout=20)
    assert stage._log == ["setup", "prepare", "prepare"]
    go.release(2)
    for thread in both:
        thread.join()
    assert stage._log == ["setup", "prepare", "prepare", "run", "run"]
