import pyarrow as pa
import torch
from tamis.pipeline.store import Address, Part, Store
from tamis.pipeline.task import Task, compute, limit_threads
from tamis.scorers.random import Random
from tamis.stages.score import Score
from tamis.stages.signals.clusters import Clusters
from tamis.stages.signals.forward import Forward

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


def test_threads_are_limited_only_for_what_computes_with_them():
    before = torch.get_num_threads()
    try:
        limit_threads(Score(scorer=Random()), 7)
        assert torch.get_num_threads() == before
        limit_threads(Forward(model="x"), 1)
        assert torch.get_num_threads() == 1
        clusters = Clusters(of="base.embedding")
        limit_threads(clusters, 3)
        assert clusters._threads == 3
    finally:
        torch.set_num_threads(before)
