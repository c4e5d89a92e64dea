"""LESS through a whole run, on gradients that a file makes up, in every storage."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from tamis.errors import DataError
from tamis.pipeline.config import Config
from tamis.pipeline.run import select
from tamis.tests.runs import quiet, run_config

SIGNAL = '''"""Gradients of a row, drawn from its content: two checkpoints of 16 numbers."""

from typing import Literal, final

import numpy as np
import pyarrow as pa
from tamis.scorers.signals import column_type
from tamis.stages.base import Stage

OTHERS = ("weights", "status", "given.status")
KINDS = {"floats": pa.list_(pa.float16()), "int8": pa.list_(pa.int8()), "signs": pa.binary()}


@final
class Drawn(Stage):
    storage: Literal["floats", "int8", "signs"] = "floats"

    @property
    def reads(self):
        return pa.schema([("sample_id", pa.string()), ("data.rating", pa.null())])

    @property
    def adds(self):
        kind = KINDS[self.storage]
        fields = [("adam", kind), ("plain", kind)]
        return pa.schema(fields + [(n, column_type(n)) for n in OTHERS])

    def vector(self, sample):
        numbers = np.random.default_rng(int(sample[:8], 16)).normal(size=32) * 30
        if self.storage == "signs":
            return np.packbits(numbers >= 0).tobytes()
        return numbers.astype(np.int8 if self.storage == "int8" else np.float16)

    def run(self, rows, wanted):
        n, bad = len(rows), [rating == 3 for rating in rows["data.rating"].to_pylist()]
        vectors = [
            None if b else self.vector(s)
            for s, b in zip(rows["sample_id"].to_pylist(), bad, strict=True)
        ]
        made = {
            "adam": vectors,
            "plain": vectors,
            "weights": [[3.0, 1.0]] * n,
            "status": ["ok"] * n,
            "given.status": ["not_finite" if b else "ok" for b in bad],
        }
        return pa.table({c: pa.array(made[c], self.adds.field(c).type) for c in wanted})
'''


def config_of(folder, storage, places, **fields):
    (folder / "drawn.py").write_text(SIGNAL)
    plain = run_config(folder).model_dump(mode="json", exclude={"signals", "scorers", "selector"})
    path = plain["data"][0]["path"]
    made = {
        "targets": {"few": {"path": path, "rows": places, "subtask": "data.rating"}},
        "signals": {"gradient": {"use": str(folder / "drawn.py"), "storage": storage}},
        "scorers": {
            "less": {"use": "influence", "target": "few"},
            "near": {"use": "influence", "target": "few", "aggregate": "max", "dim": 8},
        },
        "selector": [{"use": "top_k", "by": "less.score"}],
    }
    return Config.model_validate(plain | made | fields, context={"allow_code": True})


@pytest.mark.parametrize("storage", ["floats", "int8", "signs"])
def test_rows_of_the_target_are_the_nearest(tmp_path, storage):
    result = select(config_of(tmp_path, storage, [0, 1, 7]), quiet())
    ledger = {
        r["row_id"]: r for r in pq.read_table(result.folder.path / "ledger.parquet").to_pylist()
    }
    assert all(ledger[place]["outcome"] == "kept" for place in (0, 1, 7))
    # rows 0 and 7 share a subtask (rating 0), row 1 is alone in the other
    assert ledger[1]["less.score"] == pytest.approx(1, abs=1e-6)
    assert 0.4 < ledger[0]["less.score"] < 0.9
    assert [ledger[place]["less.query"] for place in (0, 1, 7)] == [0, 1, 2]
    assert [ledger[place]["less.subtask"] for place in (0, 1, 7)] == ["0", "1", "0"]
    assert [ledger[place]["near.query"] for place in (0, 1, 7)] == [0, 1, 2]
    assert ledger[7]["near.score"] == pytest.approx(1, abs=1e-6)
    bad = [row for row in ledger.values() if row["less.status"] == "not_finite"]
    assert len(bad) > 5
    assert {(row["step"], row["reason"]) for row in bad} == {("less", "not_finite")}
    assert "no_vector" not in {row["less.status"] for row in ledger.values()}
    others = [row["less.score"] for place, row in ledger.items() if place not in (0, 1, 7)]
    assert np.nanmax(np.array(others, float)) < 0.7


def test_a_row_of_the_target_without_a_gradient(tmp_path):
    with pytest.raises(DataError, match=r"targets\.few: row 1 has no gradient\.plain .*not_finite"):
        select(config_of(tmp_path, "floats", [0, 3]), quiet())
