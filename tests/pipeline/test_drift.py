import numpy as np
import pytest
from tamis.pipeline.diff import diff
from tamis.pipeline.drift import Mix, Spread, mix, spreads
from tamis.pipeline.run import select
from tamis.pipeline.sides import Lengths
from tamis.tests.runs import quiet, run_config
from tamis.tests.tiny import write_jsonl


def test_lengths_by_hand():
    a = Lengths(np.array([10, 20, 30]), np.array([1, 1, 1]))
    b = Lengths(np.array([0, 100]), np.array([2, 4]))
    instruction, answer = spreads(a, b)
    marks = ((pytest.approx(12), 20, pytest.approx(28)), (pytest.approx(10), 50, pytest.approx(90)))
    assert instruction == Spread("instruction", (20, 50), marks)
    assert answer.mean == (1, 3)


def test_shares_by_hand():
    """Half of the one is x, a quarter of the other: a quarter would have to move."""
    found = mix("source", ["x", "x", "y", None, "y"], ["x", "y", "y", "z"])
    assert found == Mix("source", {"x": (0.5, 0.25), "z": (0.0, 0.25), "y": (0.5, 0.5)}, 0.25)


def test_nothing_in_common():
    assert mix("source", ["x"], ["y"]).moved == 1


def test_clusters_of_a_run(tmp_path):
    """Two groups of vectors; the one run keeps half of each, the other only the second group."""
    rows = [
        {
            "instruction": f"q{i}",
            "output": "a",
            "vector": [1.0, 0.01 * i] if i < 10 else [0.01 * i, 1.0],
            "rating": i,
        }
        for i in range(20)
    ]
    base = {
        "data": [{"name": "pool", "path": str(write_jsonl(tmp_path / "rows.jsonl", rows))}],
        "signals": {
            "own": {"use": "embedding_column", "column": "data.vector"},
            "clusters": {"use": "clusters", "of": "own.embedding", "k": 2},
        },
        "scorers": {"rated": {"use": "column", "column": "data.rating"}},
        "budget": {"rows": 10},
    }
    quota = {"use": "quota", "by": "rated.score", "column": "clusters.label"}
    config = run_config(tmp_path, **(base | {"selector": [quota]}))
    even = select(config, quiet()).folder.path
    top = [{"use": "top_k", "by": "rated.score"}]
    best = {k: v for k, v in base.items() if k != "signals"} | {"signals": {}, "selector": top}
    other = select(run_config(tmp_path, **(best | {"name": "other"})), quiet()).folder.path
    found = diff(str(even), str(other)).clusters
    assert found.of == "clusters.label" and found.moved == 0.5
    assert sorted(found.shares.values()) == [(0.5, 0.0), (0.5, 1.0)]
    turned = diff(str(other), str(even)).clusters  # by the clusters of the second
    assert sorted(turned.shares.values()) == [(0.0, 0.5), (1.0, 0.5)]
