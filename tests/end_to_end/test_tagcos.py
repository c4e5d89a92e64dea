"""TAGCOS through a whole run, on gradients that a file makes up, in every storage."""

from collections import Counter

import pyarrow.parquet as pq
import pytest
from tamis.pipeline.config import Config
from tamis.pipeline.load import load
from tamis.pipeline.run import select
from tamis.tests.end_to_end.test_influence import SIGNAL
from tamis.tests.runs import digest, quiet, run_config


def config_of(folder, storage="floats", n=120, engine="local", **fields):
    folder.mkdir(exist_ok=True)
    (folder / "drawn.py").write_text(SIGNAL)
    plain = run_config(folder, n).model_dump(
        mode="json", exclude={"signals", "scorers", "selector"}
    )
    made = {
        "signals": {
            "gradient": {"use": str(folder / "drawn.py"), "storage": storage},
            "clusters": {
                "use": "clusters",
                "of": "gradient.adam",
                "weights": "gradient.weights",
                "k": 5,
            },
        },
        "scorers": {"tagcos": {"use": "tagcos", "most": 0.3}},
        "selector": [{"use": "top_k", "by": "tagcos.score"}],
        "budget": {"fraction": 0.2},
        "engine": {"kind": engine, "workers": 2 if engine == "ray" else None},
    }
    return Config.model_validate(plain | made | fields, context={"allow_code": True})


def ledger_of(result):
    return pq.read_table(result.folder.path / "ledger.parquet").to_pylist()


@pytest.mark.parametrize("storage", ["floats", "int8", "signs"])
def test_the_same_share_of_every_cluster(tmp_path, storage):
    result = select(config_of(tmp_path, storage), quiet())
    ledger = ledger_of(result)
    kept = [row for row in ledger if row["outcome"] == "kept"]
    n_scored = sum(row["tagcos.status"] in ("ok", "not_reached") for row in ledger)
    assert n_scored == 119 - sum(i % 7 == 3 for i in range(120))  # of these ratings no gradient
    assert len(kept) == 23  # 0.2 of 119
    folder = next((tmp_path / "store").glob("clusters-*"))
    parts = [pq.read_table(path) for path in (folder / "label").glob("*.parquet")]
    sizes = Counter(label for part in parts for label in part["label"].to_pylist())
    assert sizes.pop(None) == 119 - n_scored
    taken = Counter(row["tagcos.cluster"] for row in kept)
    share = 23 / n_scored
    assert all(abs(taken[label] - share * size) <= 1 for label, size in sizes.items())
    reasons = Counter(row["reason"] for row in ledger if row["outcome"] == "dropped")
    assert reasons["not_finite"] == 119 - n_scored
    assert reasons["not_reached"] > 0


@pytest.mark.slow
def test_any_engine_and_cut_of_the_pool(tmp_path):
    local = digest(select(config_of(tmp_path / "a"), quiet()).folder.path)
    ray = digest(select(config_of(tmp_path / "b", engine="ray"), quiet()).folder.path)
    assert ray == local
    parts = select(config_of(tmp_path / "c", part_rows=50), quiet())
    assert digest(parts.folder.path)["ledger.parquet"] == local["ledger.parquet"]


def test_a_budget_beyond_what_was_reached(tmp_path):
    fields = {"scorers": {"tagcos": {"use": "tagcos", "most": 0.1}}, "budget": {"rows": 50}}
    result = select(config_of(tmp_path, **fields), quiet())
    ledger = ledger_of(result)
    reached = [row for row in ledger if row["tagcos.status"] == "ok"]
    assert {row["outcome"] for row in reached} == {"kept"}
    assert result.manifest["rows_kept"] == len(reached) < 50
    assert result.manifest["ends"]


def test_it_shares_the_gradients_of_less():
    """Nothing of the gradient step differs, so the store has it once for both."""
    less, tagcos = load("less"), load("tagcos")
    assert tagcos.signals["gradient"] == less.signals["gradient"]
    assert tagcos.data == less.data
