from dataclasses import replace

import pyarrow as pa
import torch
from tamis.pipeline.store import Address, Part, Store
from tamis.pipeline.task import Task, compute, limit_threads, read
from tamis.scorers.random import Random
from tamis.stages.score import Score
from tamis.stages.signals.forward import Forward
from tamis.stages.signals.knn import Knn

PART = Part("a" * 32, 0, 2)


def test_columns_go_to_the_store_and_a_receipt_comes_back(tmp_path):
    store = Store(tmp_path)
    store.write_rows(
        PART, pa.table({"position": pa.array([0, 1], pa.int32()), "sample_id": ["x", "y"]})
    )
    stage = Score(scorer=Random(seed=1))
    task = Task(PART, ["score"], {"sample_id": Address("", "sample_id")}, "random-k")
    receipt = compute(stage, task, str(tmp_path))
    assert (receipt.part, receipt.spent) == (PART, {})
    assert receipt.seconds > 0
    assert store.read(PART, {"s": Address("random-k", "score")}).num_rows == 2
    assert store.missing("random-k", ("score", "status"), [PART]) == {PART: ["status"]}


def written(tmp_path, n=4):
    """A part whose second position was rejected: its rows are 100, 102, 103, …"""
    part, store = Part("a" * 32, 100, n), Store(tmp_path)
    position = pa.array([0, *range(2, n + 1)], pa.int32())
    rows = pa.table({"position": position, "sample_id": [f"s{i}" for i in range(n)]})
    store.write_rows(part, rows)
    return part, store


def test_rows_that_kill_their_worker_are_left_out_and_say_so(tmp_path):
    part, store = written(tmp_path)
    stage = Score(scorer=Random(seed=1))
    task = Task(part, ["score", "status"], {"sample_id": Address("", "sample_id")}, "random-k")
    compute(stage, task, str(tmp_path))
    whole = store.read(part, {n: Address("random-k", n) for n in ("score", "status")})
    task = replace(task, folder="random-l", without=(0, 2))
    assert read(stage, task, str(tmp_path))["sample_id"].to_pylist() == ["s1", "s3"]
    assert compute(stage, task, str(tmp_path)).without == (100, 103)
    found = store.read(part, {n: Address("random-l", n) for n in ("score", "status")})
    assert found["status"].to_pylist() == ["worker_died", "ok", "worker_died", "ok"]
    scores = whole["score"].to_pylist()
    assert found["score"].to_pylist() == [None, scores[1], None, scores[3]]
    assert found.schema.equals(whole.schema)


def test_a_trial_keeps_nothing(tmp_path):
    part, store = written(tmp_path)
    stage = Score(scorer=Random(seed=1))
    task = Task(part, ["score"], {"sample_id": Address("", "sample_id")}, "random-k")
    compute(stage, replace(task, some=(1, 2), trial=True), str(tmp_path))
    assert store.missing("random-k", ("score",), [part]) == {part: ["score"]}


def test_threads_are_limited_only_for_what_computes_with_them():
    before = torch.get_num_threads()
    try:
        limit_threads(Score(scorer=Random()), 7)
        assert torch.get_num_threads() == before
        limit_threads(Forward(model="x"), 1)
        assert torch.get_num_threads() == 1
        graph = Knn(of="base.embedding")
        limit_threads(graph, 3)
        assert graph._threads == 3
    finally:
        torch.set_num_threads(before)
