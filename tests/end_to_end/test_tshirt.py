"""T-SHIRT's scorer and selector through a whole run, on noisy numbers that a file makes up."""

import pyarrow.parquet as pq
from tamis.pipeline.config import Config
from tamis.pipeline.run import select
from tamis.tests.runs import model_config, quiet, run_config

SIGNAL = '''"""Noisy copies of a row, drawn from its content."""

from typing import final

import numpy as np
import pyarrow as pa
from tamis.scorers.signals import column_type
from tamis.stages.base import Stage

COLUMNS = ("delta", "given_mean", "alone_mean", "given.status", "alone.status", "status")


@final
class Noisy(Stage):
    @property
    def reads(self):
        return pa.schema([("sample_id", pa.string())])

    @property
    def adds(self):
        return pa.schema([(name, column_type(name)) for name in COLUMNS])

    def run(self, rows, wanted):
        made = {name: [] for name in COLUMNS}
        for sample in rows["sample_id"].to_pylist():
            generator = np.random.default_rng(int(sample[:8], 16))
            copies, tokens = generator.integers(3, 6), generator.integers(1, 9)
            delta = generator.normal(0.3, 0.2, (copies, tokens))
            made["delta"].append(delta.ravel().tolist())
            made["given_mean"].append((2 - delta.mean(1)).tolist())
            made["alone_mean"].append([2.0] * copies)
            made["status"].append("ok")
            made["given.status"].append("ok" if tokens > 1 else "not_finite")
            made["alone.status"].append("ok")
        return pa.table({name: pa.array(made[name], column_type(name)) for name in wanted})
'''


def config_of(tmp_path):
    (tmp_path / "noisy.py").write_text(SIGNAL)
    fields = {
        "signals": {"noisy": {"use": str(tmp_path / "noisy.py")}},
        "scorers": {"tshirt": {"use": "tshirt"}, "wide": {"use": "tshirt", "k": 75}},
        "selector": [{"use": "hierarchical"}],
    }
    plain = run_config(tmp_path).model_dump(mode="json", exclude=set(fields))
    return Config.model_validate(plain | fields, context={"allow_code": True})


def test_two_thresholds_over_one_signal(tmp_path):
    result = select(config_of(tmp_path), quiet())
    steps = {step["name"]: step for step in result.manifest["steps"]}
    assert list(steps) == ["noisy", "tshirt", "wide"]
    assert {"score", "status", "deviation", "ifd", "copies", "selected"} <= set(
        steps["tshirt"]["columns"]
    )
    ledger = pq.read_table(result.folder.path / "ledger.parquet").to_pylist()
    ranked = sorted((row for row in ledger if row["rank"]), key=lambda row: row["rank"])
    ends = [(row["outcome"], row["reason"]) for row in ranked]
    assert ends[:20] == [("kept", None)] * 10 + [("dropped", "deviation, second stage")] * 10
    assert {reason for _, reason in ends[20:]} <= {"score, first stage", "difficulty"}
    margins = [row["margin"] for row in ranked[:20]]
    assert margins == sorted(margins, reverse=True)
    assert margins[9] == 0
    without = [row for row in ledger if row["reason"] == "not_finite"]
    assert without
    assert all(row["tshirt.score"] is None and row["step"] == "tshirt" for row in without)
    assert any(row["tshirt.score"] != row["wide.score"] for row in ranked)


def test_the_clean_form_reads_what_ifd_reads(tmp_path, gpt2):
    scorers = {
        "aligned": {"use": "ifd", "mode": "aligned"},
        "all": {"use": "sifd", "k": 100},
        "half": {"use": "sifd"},
    }
    selector = [{"use": "top_k", "by": "half.score"}]
    result = select(model_config(tmp_path, gpt2, scorers=scorers, selector=selector), quiet())
    ledger = pq.read_table(result.folder.path / "ledger.parquet").to_pylist()
    rows = [row for row in ledger if row["half.score"] is not None]
    assert len(rows) > 50
    # all tokens but the one of the smallest |Delta|
    off = [row for row in rows if abs(row["all.score"] - row["aligned.score"]) > 1e-6]
    assert len(off) <= 1
    assert any(row["half.score"] != row["all.score"] for row in rows)
