"""Runs of the methods that go by ratings: the same choice in any order and number of parts."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from tamis.pipeline.load import load
from tamis.pipeline.logs import Reporter
from tamis.pipeline.run import select
from tamis.tests.docs.pages import ROOT
from tamis.tests.runs import quiet, run_config
from tamis.tests.tiny import alpaca, write_jsonl

RECIPES = ("alpagasus", "codeclm", "dataman", "deita", "distilled", "ds2", "instag", "selectit")
BY_RATINGS = {
    "signals": {
        "vector": {"use": "embedding_column", "column": "data.vector"},
        "knn": {"use": "knn", "of": "vector.embedding", "k": 14},
    },
    "scorers": {
        "rated": {"use": "column", "column": "data.rating"},
        "ds2": {"use": "ds2", "rating": "data.rating", "low": 0, "high": 5, "epochs": 7},
        "distilled": {
            "use": "distilled",
            "rating": "data.sampled",
            "of": "vector.embedding",
            "fewest": 20,
        },
        "gap": {"use": "weighted_sum", "columns": {"ds2.score": 1, "distilled.score": -1}},
    },
    "selector": [
        {"use": "quota", "by": "gap.score", "column": ["source", "data.kind"], "fraction": 0.8},
        {"use": "level_fill"},
    ],
    "budget": {"rows": 30},
}


def rated(n=120, seed=0):
    rng = np.random.default_rng(seed)
    rows = alpaca(n)
    vectors = rng.normal(size=(n, 6)).round(3)
    for i, row in enumerate(rows):
        row["rating"] = int(np.clip(round(2.5 + 2 * vectors[i, 0]), 0, 5))
        row["sampled"] = row["rating"] if i % 2 else None
        row["vector"], row["kind"] = vectors[i].tolist(), f"k{i % 3}"
    return rows


def run(folder, rows, name, part_rows=32):
    path = folder / f"{name}.jsonl"
    write_jsonl(path, rows)
    data = [{"name": "pool", "path": str(path)}]
    said = io.StringIO()
    reporter = Reporter(Console(file=said, width=200))
    config = run_config(folder, name=name, data=data, part_rows=part_rows, **BY_RATINGS)
    return pq.read_table(select(config, reporter).folder.path / "ledger.parquet"), said.getvalue()


def by_content(ledger):
    names = [name for name in ledger.column_names if name not in ("row_id", "sample_id")]
    rows = ledger.select(names).to_pylist()
    return dict(zip(ledger["sample_id"].to_pylist(), rows, strict=True))


def test_order_and_parts_change_nothing(tmp_path):
    rows = rated()
    ledger, said = run(tmp_path, rows, "one")
    assert ledger["outcome"].to_pylist().count("kept") == 30
    assert "ds2: " in said and "ratings replaced; how often each is right: 0 " in said
    assert "distilled: learnt from 60 rated rows; on held-out ones rank correlation 0." in said
    turned = [rows[i] for i in np.random.default_rng(1).permutation(len(rows))]
    other, _ = run(tmp_path, turned, "other", part_rows=50)
    assert by_content(other) == by_content(ledger)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_runs_as_it_is(tmp_path, name):
    config = load(str(ROOT / "configs" / f"{name}.yaml"))
    data = [config.data[0].model_copy(update={"path": str(_few(tmp_path))})]
    fields = {"data": data, "store": str(tmp_path / "store"), "out": str(tmp_path / "runs")}
    fields["engine"] = config.engine.model_copy(update={"kind": "local"})
    config = config.model_copy(update=fields | {"report": False})
    folder = select(config, quiet()).folder.path
    assert pq.read_table(folder / "ledger.parquet")["outcome"].to_pylist().count("kept") > 0


def _few(folder):
    lines = (ROOT / "configs/quickstart/rated.jsonl").read_text().splitlines()[:400]
    path = folder / "rated.jsonl"
    path.write_text("\n".join(lines))
    return path
