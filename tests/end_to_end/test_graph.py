"""A neighbour graph and the selectors that go by it, through whole runs, on drawn vectors."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from tamis.pipeline.config import Config
from tamis.pipeline.logs import Reporter
from tamis.pipeline.run import select
from tamis.tests.end_to_end.test_influence import SIGNAL
from tamis.tests.runs import digest, kill_at, quiet, run_config
from tamis.tests.tiny import alpaca, write_jsonl

VECTORS = "gradient.adam"
SELECTORS = {
    "k_center": {"use": "k_center", "of": VECTORS},
    "facility_location": {"use": "facility_location", "graph": "knn"},
    "diverse_top_k": {"use": "diverse_top_k", "by": "long.score", "graph": "knn"},
    "diverse_of": {"use": "diverse_top_k", "by": "long.score", "of": VECTORS, "threshold": 0.3},
    "quota": {"use": "quota", "by": "long.score", "column": "clusters.label", "shares": "equal"},
}


def config_of(folder, selector, n=120, engine="local", **fields):
    folder.mkdir(exist_ok=True)
    (folder / "drawn.py").write_text(SIGNAL)
    plain = run_config(folder, n).model_dump(
        mode="json", exclude={"signals", "scorers", "selector"}
    )
    made = {
        "signals": {
            "gradient": {"use": str(folder / "drawn.py"), "storage": "floats"},
            "clusters": {"use": "clusters", "of": VECTORS, "k": 5},
            "knn": {"use": "knn", "of": VECTORS, "k": 6},
        },
        "scorers": {"long": {"use": "length", "unit": "chars", "signal": "length"}},
        "selector": [SELECTORS[selector]],
        "budget": {"rows": 20},
        "engine": {"kind": engine, "workers": 2 if engine == "ray" else None},
    }
    made["signals"]["length"] = {"use": "length"}
    return Config.model_validate(plain | made | fields, context={"allow_code": True})


def vectors_of(folder, **fields):
    """A pool that brings its vectors along, and no code of its own."""
    folder.mkdir(exist_ok=True)
    numbers = np.random.default_rng(0).normal(size=(90, 6)).round(3).tolist()
    rows = [row | {"v": v} for row, v in zip(alpaca(90), numbers, strict=True)]
    path = write_jsonl(folder / "vectors.jsonl", rows)
    made = {
        "data": [{"name": "pool", "path": str(path)}],
        "signals": {
            "given": {"use": "embedding_column", "column": "data.v"},
            "knn": {"use": "knn", "of": "given.embedding", "k": 5, "index": "ivf", "probes": 4},
        },
        "scorers": {},
        "selector": [{"use": "facility_location", "graph": "knn"}],
    }
    return run_config(folder, **(made | fields))


@pytest.mark.slow
def test_any_engine_and_crash_point(tmp_path):
    whole = digest(select(vectors_of(tmp_path / "a"), quiet()).folder.path)
    ray = {"engine": {"kind": "ray", "workers": 2}}
    assert digest(select(vectors_of(tmp_path / "b", **ray), quiet()).folder.path) == whole
    config = vectors_of(tmp_path / "c")
    kill_at("store/knn-*/fitted.parquet", config, tmp_path / "c")
    fitted = next((tmp_path / "c").glob("store/knn-*/fitted.parquet"))
    made = fitted.stat().st_mtime_ns
    assert digest(select(config, quiet()).folder.path) == whole
    assert fitted.stat().st_mtime_ns == made


@pytest.mark.parametrize("selector", SELECTORS)
def test_the_same_for_any_cut_of_the_pool(tmp_path, selector):
    whole = select(config_of(tmp_path / "a", selector), quiet())
    parts = select(config_of(tmp_path / "b", selector, part_rows=50), quiet())
    name = "ledger.parquet"
    assert digest(whole.folder.path)[name] == digest(parts.folder.path)[name]
    ledger = pq.read_table(whole.folder.path / name).to_pylist()
    kept = {row["row_id"] for row in ledger if row["outcome"] == "kept"}
    assert len(kept) == 20
    if selector != "quota":  # of every seventh row the file makes no vector
        assert not any(row % 7 == 3 for row in kept)
        assert "not_finite" in {row["reason"] for row in ledger if row["row_id"] % 7 == 3}


def test_the_graph_says_how_good_it_is(tmp_path):
    shown = io.StringIO()
    config = config_of(tmp_path, "facility_location")
    select(config, Reporter(Console(file=shown, width=200)))
    n = 119 - sum(i % 7 == 3 for i in range(120))
    assert f"knn: {n} distinct rows, recall 1.0000" in shown.getvalue()
