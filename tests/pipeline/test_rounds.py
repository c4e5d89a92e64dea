import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tamis.errors import PlanError
from tamis.pipeline.rounds import joined_columns
from tamis.pipeline.run import score, select
from tamis.tests.runs import digest, quiet, run_config

SIGNAL = '''
"""Draws around a row's own mean, in rounds of 2, 4 and 8."""
from typing import final

import numpy as np
import pyarrow as pa
from tamis.stages.base import ROWS, Stage

ENDS = (2, 6, 14)


@final
class Draws(Stage):
    rounds: bool = True
    dies_in: int = 0

    @property
    def reads(self):
        return pa.schema([ROWS.field("sample_id")])

    @property
    def adds(self):
        return pa.schema([("draws", pa.list_(pa.float64())), ("status", pa.string())])

    def identity(self):
        return {"rounds": self.rounds}

    @property
    def n_rounds(self):
        return len(ENDS) if self.rounds else 1

    def round_size(self, number):
        return ENDS[number] - (ENDS[number - 1] if number else 0)

    def run(self, rows, wanted):
        return self._draws(rows, wanted, 0, ENDS[0] if self.rounds else ENDS[-1])

    def run_round(self, rows, wanted, number):
        if number == self.dies_in:
            raise OSError("the disk is full")
        return self._draws(rows, wanted, ENDS[number - 1], ENDS[number])

    def _draws(self, rows, wanted, first, last):
        draws = []
        for name in rows["sample_id"].to_pylist():
            random = np.random.default_rng(int(name, 16) % 2**63)
            draws.append((random.uniform() + random.normal(0, 0.3, ENDS[-1]))[first:last])
        self_table = {"draws": pa.array(draws, pa.list_(pa.float64())),
                      "status": pa.array(["ok"] * len(rows))}
        return pa.table({name: self_table[name] for name in wanted})
'''

SCORER = '''
"""Mean of the draws."""
from typing import final

import numpy as np
import pyarrow as pa
from tamis.scorers.base import Scorer


@final
class Mean(Scorer):
    @property
    def reads(self):
        return pa.schema([("noisy.draws", pa.list_(pa.float64())), ("noisy.status", pa.string())])

    def score(self, rows, fitted=None):
        return pa.array([float(np.mean(row)) for row in rows["noisy.draws"].to_pylist()])
'''

SELECTOR = '''
"""The best; rows near the cut are doubted."""
from typing import final

import numpy as np
from tamis.stages.selectors.base import Selector, by_score, cut, score_schema, scores


@final
class Best(Selector):
    asks: bool = True

    @property
    def reads(self):
        return score_schema("mean.score")

    def unsettled(self, pool, budget, most):
        assert most in (14,)
        values = scores(pool, "mean.score")
        at = np.sort(values)[-budget.limit]
        return np.abs(values - at) < 0.3

    def select(self, pool, budget):
        order = by_score(pool, "mean.score")
        return cut(order, budget.fits(pool, order), scores(pool, "mean.score"))
'''


@pytest.fixture
def config(tmp_path):
    for name, text in (("draws", SIGNAL), ("mean", SCORER), ("best", SELECTOR)):
        (tmp_path / f"{name}.py").write_text(text)

    def make(folder=tmp_path, budget=6, engine="local", **signal):
        folder.mkdir(exist_ok=True)
        return run_config(
            folder,
            signals={"noisy": {"use": str(tmp_path / "draws.py"), **signal}},
            scorers={"mean": {"use": str(tmp_path / "mean.py")}},
            selector=[{"use": str(tmp_path / "best.py")}],
            budget={"rows": budget},
            engine={"kind": engine, "workers": 2 if engine == "ray" else None},
        )

    return make


def kept(result):
    ledger = pq.read_table(result.folder.path / "ledger.parquet").to_pylist()
    return {row["row_id"]: row["mean.score"] for row in ledger if row["outcome"] == "kept"}


def test_doubted_rows_get_more_and_the_choice_is_that_of_all(config, tmp_path):
    some = select(config(), quiet())
    every = select(config(tmp_path / "all", rounds=False), quiet())
    assert kept(some).keys() == kept(every).keys()
    assert list(kept(some).values()) == pytest.approx(list(kept(every).values()))
    steps = [(step["name"], step["number"], step["rows"]) for step in some.manifest["steps"]]
    assert steps[0] == ("noisy", 0, 59)
    later = [rows for name, number, rows in steps if number]
    assert [number for _, number, _ in steps if number] == [1, 2]
    assert 59 > later[0] >= later[1] > 0
    took = 2 * 59 + 4 * later[0] + 8 * later[1]
    assert some.manifest["rounds"] == {"took": took, "of": 59 * 14}


def test_another_budget_uses_what_is_there_and_finds_what_a_fresh_run_finds(config, tmp_path):
    first = select(config(), quiet())
    second = select(config(budget=12), quiet())
    fresh = select(config(tmp_path / "fresh", budget=12), quiet())
    assert digest(second.folder.path) == digest(fresh.folder.path)
    rows = [
        sum(step["rows"] for step in run.manifest["steps"] if step["number"])
        for run in (second, fresh, first)
    ]
    assert rows[0] < rows[1]


def test_what_a_round_found_is_kept_when_the_next_dies(config, tmp_path):
    with pytest.raises(OSError, match="disk is full"):
        select(config(dies_in=2), quiet())
    again = select(config(), quiet())
    fresh = select(config(tmp_path / "fresh"), quiet())
    assert digest(again.folder.path) == digest(fresh.folder.path)
    ran = {step["number"]: step["rows"] for step in again.manifest["steps"][-2:]}
    assert ran[1] == 0
    assert ran[2] > 0


@pytest.mark.slow
def test_ray_finds_the_same(config, tmp_path):
    local = select(config(), quiet())
    ray = select(config(tmp_path / "ray", engine="ray"), quiet())
    assert digest(local.folder.path) == digest(ray.folder.path)


def test_rounds_that_nobody_asks_for_are_refused(config, tmp_path):
    text = (tmp_path / "best.py").read_text()
    (tmp_path / "best.py").write_text(text.replace("def unsettled", "def unused"))
    with pytest.raises(PlanError, match="needs a selector that asks for them"):
        select(config(), quiet())
    with pytest.raises(PlanError, match=r"signals\.noisy\.rounds needs a selection"):
        score(config(), quiet())


def test_lists_are_joined_and_statuses_weighed():
    kind = pa.list_(pa.float32())
    first = pa.array([[1, 2], [], None, [3], [4]], kind)
    second = pa.array([[5], [6, 7], [8], None, []], kind)
    assert joined_columns(first, second).to_pylist() == [[1, 2, 5], [6, 7], None, None, [4]]
    status = joined_columns(
        pa.array(["ok", "truncated", "ok"]), pa.array(["ok", "ok", "not_finite"])
    )
    assert status.to_pylist() == ["ok", "truncated", "not_finite"]


def test_joining_many_lists_is_row_by_row():
    random = np.random.default_rng(0)
    parts = [
        [random.uniform(size=random.integers(4)).tolist() for _ in range(200)] for _ in range(2)
    ]
    found = joined_columns(*(pa.array(part, pa.list_(pa.float64())) for part in parts))
    assert found.to_pylist() == [a + b for a, b in zip(*parts, strict=True)]


@pytest.mark.slow
def test_rounds_of_a_store_at_an_address(config, bucket):
    local = select(config(), quiet())
    there = config().model_copy(update={"store": f"{bucket}/store"})
    found = select(there, quiet(), overwrite=True)
    assert found.manifest["rounds"] == local.manifest["rounds"]
    assert digest(found.folder.path) == digest(local.folder.path)
    again = select(there, quiet(), overwrite=True)
    assert not any(step["computed"] for step in again.manifest["steps"])
