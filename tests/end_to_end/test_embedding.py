"""Embeddings of texts, and clusters, a graph and a target on top of them, through whole runs."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from tamis.errors import ModelError
from tamis.pipeline.run import select
from tamis.tests.end_to_end.test_targets import SUMS, steps
from tamis.tests.runs import digest, kill_at, quiet, run_config
from tamis.tests.tiny import alpaca, write_jsonl


def config_of(folder, model, n=40, **fields):
    """A pool of `n` random rows and 20 sums; the target is three of the sums."""
    sums, rest = folder / "sums.jsonl", folder / "rest.jsonl"
    write_jsonl(sums, SUMS)
    write_jsonl(rest, alpaca(n))
    base = {
        "data": [{"name": "sums", "path": str(sums)}, {"name": "rest", "path": str(rest)}],
        "targets": {"sums": {"path": str(sums), "rows": [0, 5, 9], "subtask": "data.kind"}},
        "signals": {
            "text": {"use": "embedding", "model": str(model), "dtype": "fp32"},
            "clusters": {"use": "clusters", "of": "text.embedding", "k": 4, "balanced": True},
        },
        "scorers": {"like": {"use": "similarity", "target": "sums", "signal": "text"}},
        "selector": [
            {"use": "quota", "by": "like.score", "column": "clusters.label", "shares": "equal"}
        ],
        "budget": {"rows": 12},
    }
    return run_config(folder, **(base | fields))


@pytest.fixture(scope="module")
def expected(tmp_path_factory, text_model):
    folder = tmp_path_factory.mktemp("local")
    result = select(config_of(folder, text_model), quiet())
    return folder, result, digest(result.folder.path)


def test_clusters_and_a_target_read_the_embedding(expected):
    folder, result, _ = expected
    assert steps(result) == {
        ("sums", "text"): 1,
        ("", "text"): 4,
        ("", "clusters"): 4,
        ("", "like"): 4,
    }
    ledger = pq.read_table(result.folder.path / "ledger.parquet").to_pylist()
    assert sum(row["outcome"] == "kept" for row in ledger) == 12
    scores = np.array([row["like.score"] for row in ledger])
    assert scores[[0, 5, 9]] == pytest.approx(1, abs=2e-3)  # the target's own rows
    assert scores[:20].mean() > scores[20:].mean()
    assert [ledger[i]["like.query"] for i in (0, 5, 9)] == [0, 1, 2]
    labels = {
        label
        for path in folder.glob("store/clusters-*/label/*.parquet")
        for label in pq.read_table(path)["label"].to_pylist()
    }
    assert labels == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "selector",
    [
        {"use": "k_center", "of": "text.embedding"},
        {"use": "facility_location", "graph": "knn"},
        {"use": "diverse_top_k", "by": "like.score", "of": "text.embedding", "threshold": 0.99},
    ],
    ids=lambda selector: selector["use"],
)
def test_selectors_read_it_too(tmp_path, text_model, selector):
    signals = {
        "text": {"use": "embedding", "model": str(text_model), "text": "both"},
        "knn": {"use": "knn", "of": "text.embedding", "k": 5},
    }
    config = config_of(tmp_path, text_model, signals=signals, selector=[selector])
    result = select(config, quiet())
    ledger = pq.read_table(result.folder.path / "ledger.parquet").to_pylist()
    assert sum(row["outcome"] == "kept" for row in ledger) == 12


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ray_gives_the_same_bytes(tmp_path, text_model, expected, workers):
    engine = {"kind": "ray", "workers": workers}
    result = select(config_of(tmp_path, text_model, engine=engine), quiet())
    assert digest(result.folder.path) == expected[2]


@pytest.mark.slow
def test_a_kill_loses_nothing_that_was_finished(tmp_path, text_model, expected):
    config = config_of(tmp_path, text_model)
    kill_at("store/embedding-*/status/*.parquet", config, tmp_path)
    done = len(list(tmp_path.glob("store/embedding-*/status/*.parquet")))
    result = select(config, quiet())
    if not result.was_done:
        found = steps(result)
        assert found["sums", "text"] + found["", "text"] <= 5 - done
    assert digest(result.folder.path) == expected[2]


def test_a_model_that_cannot_be_used_stops_the_plan(tmp_path, gpt2):
    with pytest.raises(ModelError, match=r"has no modules.json"):
        select(config_of(tmp_path, gpt2), quiet())
    assert not list(tmp_path.glob("store/*"))
