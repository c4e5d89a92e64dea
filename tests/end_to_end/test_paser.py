"""PASER through a whole run, on divergences and vectors that a file makes up."""

import math
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from tamis.pipeline.config import Config
from tamis.pipeline.run import select
from tamis.tests.runs import digest, kill_at, quiet, run_config

SIGNAL = '''"""Divergence and vector of a row, drawn from its content: three kinds of rows."""

from typing import final

import numpy as np
import pyarrow as pa
from tamis.scorers.signals import column_type
from tamis.stages.base import Stage


@final
class Drawn(Stage):
    @property
    def reads(self):
        return pa.schema([("sample_id", pa.string()), ("data.rating", pa.null())])

    @property
    def adds(self):
        names = ("given.jsd_sum", "given.jsd_count", "given.status", "embedding", "status")
        names += ("answer_tokens", "instruction_tokens")
        return pa.schema([(name, column_type(name)) for name in names])

    def run(self, rows, wanted):
        made = {name: [] for name in self.adds.names}
        for sample, rating in zip(*(rows[c].to_pylist() for c in self.reads.names), strict=True):
            rng = np.random.default_rng(int(sample[:8], 16))
            kind = rng.choice(3, p=[0.5, 0.3, 0.2])
            bad = rating == 3
            made["embedding"].append(np.eye(6, dtype=np.float16)[kind] + rng.normal(size=6) / 10)
            made["given.jsd_sum"].append(None if bad else (1 + kind) * rng.random())
            made["given.jsd_count"].append(None if bad else int(rng.integers(1, 9)))
            made["given.status"].append("not_finite" if bad else "ok")
            made["status"].append("ok")
            made["answer_tokens"].append(int(rng.integers(1, 40)))
            made["instruction_tokens"].append(int(rng.integers(1, 40)))
        return pa.table({c: pa.array(made[c], self.adds.field(c).type) for c in wanted})
'''


def config_of(folder, n=120, engine="local", selector=None, **fields):
    folder.mkdir(exist_ok=True)
    (folder / "drawn.py").write_text(SIGNAL)
    plain = run_config(folder, n).model_dump(
        mode="json", exclude={"signals", "scorers", "selector"}
    )
    made = {
        "signals": {
            "divergence": {"use": str(folder / "drawn.py")},
            "clusters": {"use": "spectral", "of": "divergence.embedding", "k": 3},
            "concepts": {"use": "concepts"},
        },
        "scorers": {"paser": {"use": "paser"}},
        "selector": [{"use": "paser"} | (selector or {})],
        "budget": {"fraction": 0.3},
        "engine": {"kind": engine, "workers": 2 if engine == "ray" else None},
    }
    return Config.model_validate(plain | made | fields, context={"allow_code": True})


def ledger_of(result):
    return pq.read_table(result.folder.path / "ledger.parquet").to_pylist()


def column(folder, step, name):
    (path,) = (folder / "store").glob(f"{step}-*/{name}/*.parquet")
    return pq.read_table(path)[name].to_pylist()


def expected(rows, budget):
    """The rows that the plain procedure keeps, and the others it passes over."""
    clusters = {}
    for row in rows:
        clusters.setdefault(row["label"], []).append(row)
    cds = {
        label: np.mean([row["paser.divergence"] for row in own]) for label, own in clusters.items()
    }
    kept, passed_over, near = [], [], {}
    for label in sorted(clusters):
        share, own = math.floor(budget * cds[label] / sum(cds.values())), []
        for row in sorted(clusters[label], key=lambda r: (-r["paser.score"], r["sample_id"])):
            if len(own) == share:
                break
            known = [c for c in row["concepts"] if c in near]
            if any(b not in near[a] for a in known for b in known if a != b):
                passed_over.append(row["row_id"])
                continue
            own.append(row["row_id"])
            for concept in row["concepts"] if len(row["concepts"]) > 1 else []:
                near.setdefault(concept, set()).update(row["concepts"])
        kept += own
    return sorted(kept), sorted(passed_over)


def test_as_the_plain_procedure(tmp_path):
    result = select(config_of(tmp_path, part_rows=200), quiet())
    ledger = ledger_of(result)
    usable = [row for row in ledger if row["outcome"] != "rejected"]
    columns = zip(
        usable,
        column(tmp_path, "spectral", "label"),
        column(tmp_path, "concepts", "concepts"),
        strict=True,
    )
    rows = [row | {"label": label, "concepts": own} for row, label, own in columns]
    scored = [row for row in rows if row["paser.status"] == "ok"]
    assert {row["reason"] for row in rows if row["paser.status"] != "ok"} == {"not_finite"}
    kept, passed_over = expected(scored, 35)  # 0.3 of 119
    assert [row["row_id"] for row in ledger if row["outcome"] == "kept"] == kept
    conflicts = {
        row["row_id"]: row for row in rows if (row["reason"] or "").startswith("conflicting")
    }
    assert sorted(conflicts) == passed_over != []
    for row in conflicts.values():
        one, other = row["reason"].removeprefix("conflicting concepts: ").split(" | ")
        assert {one, other} <= set(
            rows[[r["row_id"] for r in rows].index(row["row_id"])]["concepts"]
        )
    assert {row["reason"] for row in ledger if row["outcome"] == "kept"} == {
        "cluster: 0",
        "cluster: 1",
        "cluster: 2",
    }
    ends = Counter({end["reason"]: end["n"] for end in result.manifest["ends"]})
    assert ends["conflicting concepts"] == len(passed_over)
    assert ends["over the share"] > 0


def test_refilled_to_the_budget(tmp_path):
    kept = []
    for name, refill in (("a", False), ("b", True)):
        config = config_of(tmp_path / name, selector={"refill": refill}, budget={"rows": 20})
        kept.append(select(config, quiet()).manifest["rows_kept"])
    assert kept[0] < kept[1] == 20


@pytest.mark.slow
def test_any_engine_and_cut_of_the_pool(tmp_path):
    local = digest(select(config_of(tmp_path / "a"), quiet()).folder.path)
    ray = digest(select(config_of(tmp_path / "b", engine="ray"), quiet()).folder.path)
    assert ray == local
    parts = select(config_of(tmp_path / "c", part_rows=50), quiet())
    assert digest(parts.folder.path)["ledger.parquet"] == local["ledger.parquet"]


@pytest.mark.parametrize("lost", ["*/*/*.parquet", "spectral-*/**/*"])
def test_goes_on_where_it_stopped(tmp_path, lost):
    before = digest(select(config_of(tmp_path), quiet()).folder.path)
    for path in sorted(p for p in (tmp_path / "store").glob(lost) if p.is_file())[::2]:
        path.unlink()
    again = select(config_of(tmp_path), quiet(), overwrite=True)
    assert digest(again.folder.path) == before


def with_models(folder, model, engine="local"):
    """What configs/paser.yaml asks, of a tiny model; a pool of 40 rows in parts of 16."""
    signal = {"model": str(model), "dtype": "fp32"}
    pruned = {"method": "magnitude", "share": 0.5}
    return run_config(
        folder,
        40,
        signals={
            "base": {"use": "forward"} | signal,
            "divergence": {"use": "divergence", "other": pruned} | signal,
            "clusters": {"use": "spectral", "of": "base.embedding", "k": 3},
            "concepts": {"use": "concepts"},
        },
        scorers={"paser": {"use": "paser"}},
        selector=[{"use": "paser"}],
        budget={"rows": 12},
        engine={"kind": engine, "workers": 2 if engine == "ray" else None},
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory, gpt2):
    return select(with_models(tmp_path_factory.mktemp("local"), gpt2), quiet())


class TestWithModels:
    def test_computes_every_part_once(self, run):
        steps = {step["name"]: step["computed"] for step in run.manifest["steps"]}
        assert steps == {"base": 3, "divergence": 3, "clusters": 3, "concepts": 3, "paser": 3}
        assert 0 < run.manifest["rows_kept"] <= 12

    @pytest.mark.slow
    def test_ray_gives_the_bytes_of_the_local_engine(self, run, tmp_path, gpt2):
        ray = select(with_models(tmp_path, gpt2, "ray"), quiet())
        assert digest(ray.folder.path) == digest(run.folder.path)

    @pytest.mark.parametrize(
        ("engine", "moment"),
        [
            ("local", "store/spectral-*/fitted.parquet"),
            *(
                pytest.param(engine, moment, marks=pytest.mark.slow)
                for engine in ("local", "ray")
                for moment in (
                    "store/forward-*/embedding/*.parquet",
                    "store/divergence-*/given.jsd_sum/*.parquet",
                    "store/concepts-*/concepts/*.parquet",
                    "store/paser-*/score/*.parquet",
                    "runs/run/ledger.parquet",
                )
            ),
        ],
    )
    def test_a_kill_loses_nothing_that_was_finished(self, run, tmp_path, gpt2, engine, moment):
        """SIGKILL of the driver as soon as a file is there."""
        config = with_models(tmp_path, gpt2, engine)
        kill_at(moment, config, tmp_path)
        there = set((tmp_path / "store").glob("*/*/*.parquet"))
        times = {path: path.stat().st_mtime_ns for path in there}
        result = select(config, quiet())
        assert {path: path.stat().st_mtime_ns for path in there} == times
        assert digest(result.folder.path) == digest(run.folder.path)
