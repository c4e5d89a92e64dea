import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from typing import ClassVar

import psutil
import pyarrow as pa
import pytest
import ray
from tamis.errors import ContractError, PlanError, WorkerError
from tamis.pipeline import access, lookup, suspect
from tamis.pipeline.config import EngineConfig
from tamis.pipeline.executor import LocalEngine, RayEngine, open_engine
from tamis.pipeline.store import Address, Part, Store
from tamis.pipeline.task import Task
from tamis.stages.base import Resources
from tamis.stages.score import Score
from tamis.stages.signals.length import Length

PARTS = [Part(f"{i:032x}", 10 * i, 2) for i in range(5)]
SAMPLE = {"sample_id": Address("", "sample_id")}

# A scorer of the user's: it travels to workers by value, and misbehaves where a file says so.
MINE = """
import os, pathlib, signal
import pyarrow as pa
from tamis.scorers.base import Scorer

class Mine(Scorer):
    folder: str
    mode: str = "good"

    @property
    def reads(self):
        return pa.schema([("sample_id", pa.string())])

    def score(self, rows, fitted=None):
        first = rows["sample_id"][0].as_py()
        pathlib.Path(self.folder, f"{first}-{os.getpid()}").touch()
        if first == "2a" and self.mode == "wrong":
            return pa.array(["x"] * len(rows))
        if first == "2a" and self.mode == "raise":
            raise KeyError("no such thing")
        every = rows["sample_id"].to_pylist()
        mark = pathlib.Path(self.folder, "died")
        dies = {
            "die": "2b" in every,  # one row of a part
            "die-once": first == "2a" and not mark.exists(),
            "die-together": "2a" in every and "2b" in every,
            "die-always": True,
        }
        if dies.get(self.mode):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return pa.array([1.0] * len(rows))
"""


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "store")
    for i, part in enumerate(PARTS):
        found.write_rows(
            part,
            pa.table({"position": pa.array([0, 1], pa.int32()), "sample_id": [f"{i}a", f"{i}b"]}),
        )
    return found


def stage(tmp_path, mode="good"):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    calls = tmp_path / "calls"
    calls.mkdir(exist_ok=True)
    return Score(scorer=lookup.find("scorers", str(path), True)(folder=str(calls), mode=mode))


def tasks(folder="mine-k"):
    return [Task(part, ["score"], SAMPLE, folder) for part in PARTS]


def calls(tmp_path):
    return sorted(path.name for path in (tmp_path / "calls").iterdir())


def test_local_runs_in_this_process(tmp_path, store):
    engine = open_engine(EngineConfig(kind="local"), store.root)
    assert isinstance(engine, LocalEngine)
    receipts = list(engine.run(stage(tmp_path), tasks()))
    assert [receipt.part for receipt in receipts] == PARTS
    assert calls(tmp_path) == [f"{i}a-{os.getpid()}" for i in range(5)]
    assert store.missing("mine-k", ("score",), PARTS) == {}
    engine.close()


def test_a_local_engine_that_is_stopped_begins_nothing_more(tmp_path, store):
    engine = open_engine(EngineConfig(kind="local"), store.root)
    receipts = engine.run(stage(tmp_path), tasks())
    assert next(receipts).part == PARTS[0]
    engine.stop()
    assert list(receipts) == []
    assert calls(tmp_path) == [f"0a-{os.getpid()}"]


@pytest.mark.slow
def test_more_threads_than_cores_are_room_enough(tmp_path, store):
    with closing(RayEngine(EngineConfig(threads=64), str(store.root))) as engine:
        assert len(list(engine.run(stage(tmp_path), tasks("wide-k")))) == len(PARTS)


@pytest.fixture(scope="module")
def started():
    engine = RayEngine(EngineConfig(workers=2), "")
    engine._start()
    yield engine
    engine.close()


@pytest.fixture
def ray_engine(started, store):
    """An engine for this test's store, on the one cluster of this file."""
    engine = open_engine(EngineConfig(kind="ray", workers=2), store.root)
    engine._started = True
    yield engine
    for worker in engine._workers:
        ray.kill(worker)


class TestRay:
    def test_nothing_starts_without_tasks(self, tmp_path, store):
        engine = RayEngine(EngineConfig(workers=2), str(store.root))
        assert list(engine.run(stage(tmp_path), [])) == []
        assert not engine._started

    def test_workers_share_the_parts(self, tmp_path, store, ray_engine):
        receipts = list(ray_engine.run(stage(tmp_path), tasks()))
        assert {receipt.part for receipt in receipts} == set(PARTS)
        assert store.missing("mine-k", ("score",), PARTS) == {}
        assert {call.split("-")[0] for call in calls(tmp_path)} == {f"{i}a" for i in range(5)}
        assert str(os.getpid()) not in {call.split("-")[1] for call in calls(tmp_path)}

    def test_when_stopped_those_at_work_finish_and_no_part_is_begun(
        self, tmp_path, store, ray_engine
    ):
        receipts = ray_engine.run(stage(tmp_path), tasks("stopped-k"))
        found = [next(receipts)]
        ray_engine.stop()
        found += receipts
        there = len(PARTS) - len(store.missing("stopped-k", ("score",), PARTS))
        assert len(found) == there < len(PARTS)
        assert len(calls(tmp_path)) == there

    def test_a_worker_that_dies_is_replaced_and_its_part_tried_again(
        self, tmp_path, store, ray_engine
    ):
        found = list(ray_engine.run(stage(tmp_path, "die-once"), tasks("once-k")))
        assert {receipt.part for receipt in found} == set(PARTS)
        assert store.missing("once-k", ("score",), PARTS) == {}

    def test_a_row_that_kills_its_workers_gets_a_status_and_the_run_goes_on(
        self, tmp_path, store, ray_engine, monkeypatch, caplog
    ):
        monkeypatch.setattr(suspect, "ATTEMPTS", 2)
        both = [replace(task, missing=["score", "status"]) for task in tasks("die-k")]
        found = list(ray_engine.run(stage(tmp_path, "die"), both))
        assert {receipt.part: receipt.without for receipt in found} == {
            part: (21,) if part is PARTS[2] else () for part in PARTS
        }
        assert f"a worker died on part {PARTS[2].hash} (rows from 20 on)" in caplog.text
        assert "its rows are tried by halves" in caplog.text
        places = {name: Address("die-k", name) for name in ("score", "status")}
        assert store.read(PARTS[2], places).to_pylist() == [
            {"score": 1.0, "status": "ok"},
            {"score": None, "status": "worker_died"},
        ]

    def test_a_part_that_kills_its_workers_as_a_whole_ends_the_run_and_the_rest_is_kept(
        self, tmp_path, store, ray_engine, monkeypatch
    ):
        monkeypatch.setattr(suspect, "ATTEMPTS", 2)
        said = f"died 2 times more on part {PARTS[2].hash} .*none of the rows"
        with pytest.raises(WorkerError, match=said):
            list(ray_engine.run(stage(tmp_path, "die-together"), tasks("whole-k")))
        assert PARTS[2] in store.missing("whole-k", ("score",), PARTS)
        assert len(store.missing("whole-k", ("score",), PARTS)) < 5

    def test_where_every_row_kills_it_is_not_the_rows(
        self, tmp_path, store, ray_engine, monkeypatch
    ):
        monkeypatch.setattr(suspect, "ATTEMPTS", 1)
        monkeypatch.setattr(suspect, "MANY", 1)
        with pytest.raises(WorkerError, match="a worker died on each of 2 rows of part"):
            list(ray_engine.run(stage(tmp_path, "die-always"), tasks("always-k")))

    def test_errors_of_ours_arrive_as_they_are(self, tmp_path, store, ray_engine):
        with pytest.raises(ContractError, match="must return an Arrow array of floats"):
            list(ray_engine.run(stage(tmp_path, "wrong"), tasks("wrong-k")))

    def test_other_errors_arrive_with_their_traceback(self, tmp_path, store, ray_engine):
        with pytest.raises(WorkerError, match=r"(?s)Traceback.*KeyError: 'no such thing'"):
            list(ray_engine.run(stage(tmp_path, "raise"), tasks("raise-k")))

    def test_a_worker_for_which_there_is_no_room_is_a_mistake(self, tmp_path, store, started):
        engine = RayEngine(EngineConfig(memory=1 << 60), str(store.root), _started=True)
        with pytest.raises(PlanError, match=r"a worker needs 1 CPU .*1.15292e\+18 memory"):
            list(engine.run(stage(tmp_path), tasks("big-k")))

    def test_workers_that_must_run_at_once_need_room_together(self, tmp_path, store, ray_engine):
        assert ray_engine.reserve(stage(tmp_path), 2) == {"CPU": 1.0}
        with pytest.raises(PlanError, match=r"3 workers at once need 3 CPU \(there are 2\)"):
            ray_engine.reserve(stage(tmp_path), 3)

    def test_nothing_listens_beyond_loopback(self, started):
        own = {p.pid for p in psutil.Process().children(recursive=True)} | {os.getpid()}
        heard = {
            c.laddr.ip
            for c in psutil.net_connections("tcp")
            if c.pid in own and c.status == psutil.CONN_LISTEN
        }
        assert heard
        assert heard <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


LISTENING = """
import sys, os
import psutil
from pathlib import Path
from tamis.pipeline.config import EngineConfig
from tamis.pipeline.executor import RayEngine
from tamis.pipeline.store import Address, Part
from tamis.pipeline.task import Task
from tamis.scorers.random import Random
from tamis.stages.score import Score

engine = RayEngine(EngineConfig(workers=1), sys.argv[1])
task = Task(Part(f"{0:032x}", 0, 2), ["score"], {"sample_id": Address("", "sample_id")}, "r-k")
list(engine.run(Score(scorer=Random(seed=1)), [task]))
own = {p.pid for p in psutil.Process().children(recursive=True)} | {os.getpid()}
found = psutil.net_connections("tcp")
heard = {c.laddr.ip for c in found if c.pid in own and c.status == psutil.CONN_LISTEN}
print(os.environ["RAY_AUTH_MODE"], len(os.environ["RAY_AUTH_TOKEN"]), *sorted(heard))
engine.close()
"""


@pytest.mark.slow
def test_without_a_word_in_the_environment_a_run_keeps_to_itself(store):
    """The tests themselves say in theirs what Ray is to do."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, "-c", LISTENING, str(store.root)]
    done = subprocess.run(command, env=plain, capture_output=True, text=True, timeout=120)
    mode, n, *heard = done.stdout.split() or [done.stderr, 0]
    assert (mode, n) == ("token", "64")
    assert heard
    assert set(heard) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, ["0", "token", 64]),
        ({"RAY_AUTH_TOKEN": "mine"}, ["0", "token", 4]),
        ({"RAY_AUTH_MODE": "disabled"}, ["0", "disabled", 0]),
        ({"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}, ["1", "token", 64]),
    ],
)
def test_a_cluster_of_ours_is_kept_to_ourselves(monkeypatch, before, after):
    names = ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
    for name in names:
        monkeypatch.setenv(name, "")  # so that it is put back
        del os.environ[name]
    os.environ.update(before)
    monkeypatch.delitem(sys.modules, "ray")
    access.keep_to_ourselves()
    where, mode, token = (os.environ.get(name, "") for name in names)
    assert [where, mode, len(token)] == after


def test_a_cluster_that_is_not_there_is_named(tmp_path, store):
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        engine = RayEngine(EngineConfig(address=address), str(store.root))
        with pytest.raises(PlanError, match=f"'{address}': cannot join Ray: .*refused"):
            list(engine.run(stage(tmp_path), tasks()))


# Takes as much memory as its batch asks for, in a cluster that allows little more than is used now.
HUNGRY = """
import os, sys
free = next(int(line.split()[1]) for line in open("/proc/meminfo") if "MemAvailable" in line)
total = next(int(line.split()[1]) for line in open("/proc/meminfo") if "MemTotal" in line)
os.environ["RAY_memory_usage_threshold"] = str(1 - (free - 3_000_000) / total)
os.environ["RAY_memory_monitor_refresh_ms"] = "50"
import logging, time
from pathlib import Path
import numpy as np
import pyarrow as pa
from tamis.pipeline.config import EngineConfig
from tamis.pipeline.executor import RayEngine
from tamis.pipeline.store import Address, Part, Store
from tamis.pipeline.task import Task
from tamis.stages.base import Stage
import ray

logging.basicConfig(level=logging.WARNING, format="%(message)s")


class Hungry(Stage):
    gigabytes: float = 6.0

    @property
    def reads(self):
        return pa.schema([("sample_id", pa.string())])

    @property
    def adds(self):
        return pa.schema([("n", pa.float64())])

    def smaller(self):
        return self.model_copy(update={"gigabytes": self.gigabytes / 2})

    def run(self, rows, wanted):
        held = []
        for _ in range(round(self.gigabytes * 10)):
            held.append(np.ones(12_500_000))
            time.sleep(0.02)
        return pa.table({"n": [self.gigabytes] * len(rows)})


ray.cloudpickle.register_pickle_by_value(sys.modules["__main__"])
store, part = Store(Path(sys.argv[1])), Part("a" * 32, 0, 1)
rows = pa.table({"position": pa.array([0], pa.int32()), "sample_id": ["x"]})
store.write_rows(part, rows)
engine = RayEngine(EngineConfig(workers=1), sys.argv[1])
tasks = [Task(part, ["n"], {"sample_id": Address("", "sample_id")}, "hungry-k")]
list(engine.run(Hungry(), tasks))
engine.close()
print("took", store.read(part, {"n": Address("hungry-k", "n")})["n"][0])
"""


@pytest.mark.slow
def test_a_worker_killed_for_want_of_memory_goes_on_with_less(tmp_path):
    """By Ray's own memory monitor."""
    done = subprocess.run(
        [sys.executable, "-c", HUNGRY, str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    assert "batches are halved" in done.stderr
    assert done.stdout.split("took")[1].strip() in ("3.0", "1.5", "0.75")


class Here(Length):
    """A stage that works in the process that began the run."""

    def resources(self):
        return Resources(here=True)

    def use_store(self, root):
        self.told.append((os.getpid(), root))

    told: ClassVar[list] = []


def test_what_must_work_here_does_so_with_ray_too(tmp_path, store):
    Here.told.clear()
    rows = {"messages": Address("", "messages")}
    for place, part in enumerate(PARTS):
        one = [{"role": "assistant", "content": "x" * place}]
        table = pa.table({"position": pa.array([0, 1], pa.int32()), "messages": [one, one]})
        store.write_rows(replace(part, rows=f"m{place}"), table)
    parts = [replace(part, rows=f"m{place}") for place, part in enumerate(PARTS)]
    engine = RayEngine(EngineConfig(workers=2), str(store.root))
    todo = [Task(part, ["answer_chars"], rows, "here-k") for part in parts]
    assert [receipt.part for receipt in engine.run(Here(), todo)] == parts
    assert Here.told == [(os.getpid(), str(store.root))]
    assert not engine._started  # no Ray
    assert store.missing("here-k", ("answer_chars",), parts) == {}
    receipts = engine.run(Here(), [replace(task, folder="here-l") for task in todo])
    next(receipts)
    engine.stop()
    assert list(receipts) == []
