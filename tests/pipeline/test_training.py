import contextlib
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tamis.errors import DataError, ModelError, PlanError, WorkerError
from tamis.pipeline import lookup, training
from tamis.pipeline.agreement import agreement
from tamis.pipeline.logs import Reporter
from tamis.pipeline.run import score, select
from tamis.pipeline.training import _Failure, _why, prepared, warm_up
from tamis.pipeline.warmups import filled
from tamis.stages.checkpoints import content_of, read_weights
from tamis.stages.facts import facts_of
from tamis.tests.pipeline.warm import WARMUP, config_of, opened
from tamis.tests.runs import digest, quiet, run_config


def test_select_trains_first_and_finds_it_again(gpt2, tmp_path):
    config = config_of(tmp_path, gpt2)
    result = select(config, quiet())
    (folder,) = (tmp_path / "store").glob("warmup-*")
    names = [path.name for path in sorted(folder.iterdir())]
    assert names == ["checkpoint-1", "checkpoint-2", "step.json"]
    assert facts_of(str(folder / "checkpoint-1"))["rows"] == 8  # a fifth of 39 usable rows
    assert pq.read_table(result.folder.path / "ledger.parquet").num_rows == 40
    (curve,) = result.manifest["warmups"].values()
    assert (curve["key"], curve["workers"]) == (folder.name, 1)
    assert curve["checkpoints"] == [
        facts_of(str(folder / f"checkpoint-{epoch}")) for epoch in (1, 2)
    ]
    assert [len(facts["losses"]) for facts in curve["checkpoints"]] == [2, 2]
    before = (folder / "checkpoint-2/checkpoint.json").stat().st_mtime_ns
    assert select(config, quiet()).was_done
    assert (folder / "checkpoint-2/checkpoint.json").stat().st_mtime_ns == before
    replay = run_config(tmp_path, **result.manifest["config"] | {"out": str(tmp_path / "again")})
    assert digest(select(replay, quiet()).folder.path) == digest(result.folder.path)
    assert "adapters: []" in (result.folder.path / "config.yaml").read_text()
    _, table = score(config, quiet())
    assert np.isfinite(table["first.score"].drop_null().to_numpy()).all()


def test_a_run_starts_where_it_broke_off(gpt2, tmp_path):
    config, store, pool = opened(config_of(tmp_path, gpt2))
    done = prepared(config, store, pool, quiet()).signals["grads"].adapters
    contents = [content_of(folder) for folder in done]
    (Path(done[1]) / "moments.safetensors").unlink()
    assert filled(config, store, pool).signals["grads"].adapters == ()
    again = prepared(config, store, pool, quiet()).signals["grads"].adapters
    assert [content_of(folder) for folder in again] == contents


@pytest.mark.parametrize("file", ["checkpoint.json", "moments.safetensors", "adapter_config.json"])
def test_a_damaged_checkpoint_is_trained_again(gpt2, tmp_path, file):
    config = config_of(tmp_path, gpt2)
    (found,) = warm_up(config, quiet())
    last = found.folder / "checkpoint-2"
    content = content_of(str(last))
    with (last / file).open("r+b") as damaged:
        damaged.write(b"\0\0\0")
    select(config, quiet())
    assert content_of(str(last)) == content
    (last / "checkpoint.json").write_text("")
    warm_up(config, quiet())
    assert content_of(str(last)) == content


def test_swapped_checkpoints_are_found(gpt2, tmp_path):
    config = config_of(tmp_path, gpt2)
    (found,) = warm_up(config, quiet())
    one, two = (found.folder / f"checkpoint-{epoch}" for epoch in (1, 2))
    contents = [content_of(str(path)) for path in (one, two)]
    one.rename(found.folder / "x")
    two.rename(one)
    (found.folder / "x").rename(two)
    (again,) = warm_up(config, quiet())
    assert [facts["epoch"] for facts in again.checkpoints] == [1, 2]
    assert [content_of(str(path)) for path in (one, two)] == contents


def test_damaged_adapters_of_the_user_are_an_error_and_stay(gpt2, tmp_path):
    (found,) = warm_up(config_of(tmp_path, gpt2), quiet())
    mine = [
        str(shutil.copytree(found.folder / f"checkpoint-{i}", tmp_path / f"a{i}")) for i in (1, 2)
    ]
    grads = {"use": "gradient", "model": str(gpt2), "dtype": "fp32", "dim": 32, "adapters": mine}
    config = config_of(tmp_path, gpt2, signals={"grads": grads}, name="mine")
    Path(mine[1], "checkpoint.json").write_text('{"format": "other"}')
    with pytest.raises(
        DataError, match=r"damaged file: .*a2/checkpoint\.json: is not of the format"
    ):
        select(config, quiet())
    assert Path(mine[1], "checkpoint.json").exists()
    shutil.copy(Path(mine[0], "checkpoint.json"), Path(mine[1], "checkpoint.json"))
    with pytest.raises(DataError, match=r"is not what checkpoint\.json says was written"):
        select(config, quiet())


AIMED = {"use": "influence", "signal": "grads", "target": "t"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"selector": [{"use": "top_k", "by": "first.scor"}]}, "first.scor"),
        ({"budget": None}, "budget is missing"),
        ({"selector": []}, "selector is missing"),
        ({"scorers": {"first": AIMED | {"dim": 33}}}, "dim is 33, but the signal has dim: 32"),
        ({"scorers": {"first": AIMED}, "targets": {"t": {"subtask": "data.no"}}}, "column data.no"),
    ],
)
def test_a_mistake_is_found_before_the_training(gpt2, tmp_path, fields, message):
    path = config_of(tmp_path, gpt2).data[0].path
    target = {"path": path, "limit": 2} | fields.get("targets", {}).get("t", {})
    fields = fields | {"targets": {"t": target}}
    with pytest.raises(PlanError, match=message):
        select(config_of(tmp_path, gpt2, **fields), quiet())
    assert not list((tmp_path / "store").glob("warmup-*"))


def test_only_what_is_read_is_trained(gpt2, tmp_path):
    grads = {"use": "gradient", "model": str(gpt2), "dtype": "fp32", "dim": 32, "warmup": WARMUP}
    signals = {"grads": grads, "idle": grads | {"warmup": WARMUP | {"rank": 3}}}
    result = select(config_of(tmp_path, gpt2, signals=signals), quiet())
    assert len(list((tmp_path / "store").glob("warmup-*"))) == 1
    assert list(result.manifest["warmups"]) == ["grads"]


def test_adapters_in_the_store_that_the_user_names_are_not_renamed(gpt2, tmp_path):
    (found,) = warm_up(config_of(tmp_path, gpt2), quiet())
    mine = [str(found.folder / f"checkpoint-{epoch}") for epoch in (1, 2)]
    with Path(mine[1], "moments.safetensors").open("r+b") as damaged:
        damaged.write(b"\0\0\0")
    grads = {"use": "gradient", "model": str(gpt2), "dtype": "fp32", "dim": 32, "adapters": mine}
    with pytest.raises(DataError, match=r"damaged file: .*moments\.safetensors: is not what"):
        select(config_of(tmp_path, gpt2, signals={"grads": grads}, name="mine"), quiet())
    assert Path(mine[1], "moments.safetensors").exists()


def test_all_warm_ups_are_checked_before_the_first(gpt2, tmp_path):
    grads = {"use": "gradient", "model": str(gpt2), "dtype": "fp32", "dim": 32, "warmup": WARMUP}
    signals = {"grads": grads, "more": grads | {"warmup": WARMUP | {"workers": 2}}}
    with pytest.raises(PlanError, match=r"several workers need engine\.kind: ray"):
        warm_up(config_of(tmp_path, gpt2, signals=signals), quiet())
    assert not list((tmp_path / "store").glob("warmup-*"))


def test_a_warm_up_that_trains_nothing_is_an_error(gpt2, tmp_path):
    one_step = WARMUP | {"epochs": 1, "batch": 99}  # its learning rate is that of the start: 0
    with pytest.raises(ModelError, match="learning rate was 0 in every step"):
        select(config_of(tmp_path, gpt2, one_step), quiet())


def test_warm_up_alone(gpt2, tmp_path):
    (found,) = warm_up(config_of(tmp_path, gpt2), quiet())
    assert found.signal == "grads" and found.folder.parent == tmp_path / "store"
    assert [facts["epoch"] for facts in found.checkpoints] == [1, 2]
    with pytest.raises(PlanError, match=r"no signal of this config has a `warmup`; .* length"):
        warm_up(run_config(tmp_path), quiet())


def test_rows_without_answer_tokens(gpt2, tmp_path):
    grads = {"use": "gradient", "model": str(gpt2), "dtype": "fp32", "max_tokens": 2}
    config = config_of(tmp_path, gpt2, signals={"grads": grads | {"warmup": WARMUP}})
    with pytest.raises(DataError, match="none of the 8 rows of the warm-up has answer tokens"):
        select(config, quiet())


def test_agreement_needs_rounds_before_it_trains(gpt2, tmp_path):
    with pytest.raises(PlanError, match="works in rounds"):
        agreement(config_of(tmp_path, gpt2), quiet())
    assert not list((tmp_path / "store").glob("warmup-*"))


def test_several_workers_need_ray(gpt2, tmp_path):
    config = config_of(tmp_path, gpt2, WARMUP | {"workers": 2})
    with pytest.raises(PlanError, match=r"warmup.workers is 2, but engine.kind is local"):
        warm_up(config, quiet())


def test_why_workers_failed():
    """Their own errors first, then a death without a word, then what should not happen."""

    class Group(Exception):
        def __init__(self, *ranks):
            self.worker_failures = {rank: RuntimeError(f"worker {rank}\nx") for rank in ranks}

    assert _why(None, []) == ""
    ours, collateral = _Failure(1, ModelError("no layers")), _Failure(0, "Traceback: peer closed")
    with pytest.raises(ModelError, match="no layers"):
        _why(Group(0, 1), [collateral, ours])
    with pytest.raises(OSError, match="disk full"):
        _why(Group(0), [_Failure(0, OSError("disk full"))])
    assert _why(Group(0, 1), [collateral]) == "worker 1"
    with pytest.raises(WorkerError, match="failed unexpectedly:\nTraceback: peer closed"):
        _why(Group(0), [collateral])
    with pytest.raises(WorkerError, match="failed unexpectedly:\nthe controller is gone"):
        _why(RuntimeError("the controller is gone"), [])


# A signal that says in which processes it makes tokens.
MINE = """
import os, pathlib
import pyarrow as pa
from tamis.stages.modelled import ModelStage
from tamis.stages.warmup import Warmup

class Mine(ModelStage):
    pids: str
    warmup: Warmup

    @property
    def adds(self):
        return pa.schema([("status", pa.string())])

    def run(self, rows, wanted):
        raise NotImplementedError

    def _tokenised(self):
        pathlib.Path(self.pids, str(os.getpid())).touch()
        return "exact"
"""


class Killer(Reporter):
    """Kills a worker once the second epoch has begun."""

    def __init__(self, pids, after):
        super().__init__(quiet().console)
        self.pids, self.after, self.rows, self.killed = pids, after, 0, None

    def add(self, rows, tokens=0):
        self.rows += rows
        if self.killed is None and self.rows > self.after:
            self.killed = max(int(path.name) for path in self.pids.iterdir())
            os.kill(self.killed, signal.SIGKILL)

    def step(self, name, n_rows):
        self.total = n_rows
        return contextlib.nullcontext(self)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray, about its own settings
class TestTwoWorkers:
    def mine(self, folder, model, **warmup):
        (folder / "mine.py").write_text(MINE)
        (folder / "pids").mkdir(parents=True, exist_ok=True)
        kind = lookup.find("signals", str(folder / "mine.py"), True)
        said = WARMUP | {"share": 0.5, "epochs": 3, "workers": 2} | warmup
        fields = {"model": str(model), "dtype": "fp32", "pids": str(folder / "pids")}
        config = config_of(folder, model, engine={"kind": "ray"})
        signals = {"grads": kind(**fields, warmup=said)}
        return config.model_copy(update={"signals": signals, "scorers": {}})

    def test_adapters_are_those_of_one_and_survive_a_death(self, gpt2, tmp_path, monkeypatch):
        """Within 1e-6, where they moved by 1e-2 and more; 15 steps, 20 rows, the last step odd."""
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        (alone,) = warm_up(self.mine(tmp_path, gpt2, workers=1), quiet())
        config, store, pool = opened(self.mine(tmp_path, gpt2))
        (tmp_path / "pids" / str(os.getpid())).unlink()
        killer = Killer(tmp_path / "pids", after=25)
        ready = prepared(config, store, pool, killer)
        assert killer.killed and killer.rows == killer.total == 60
        (both,) = training.warmed_up(ready.signals)
        assert both.folder != alone.folder and both.workers == 2
        first = read_weights(str(alone.folder / "checkpoint-1"))
        for number in (1, 2, 3):
            one, two = (read_weights(str(w.folder / f"checkpoint-{number}")) for w in (alone, both))
            torch.testing.assert_close(two, one, rtol=0, atol=1e-6)
        assert max(float((one[name] - first[name]).abs().max()) for name in one) > 1e-2
        losses = [
            [loss for facts in w.checkpoints for loss in facts["losses"]] for w in (alone, both)
        ]
        np.testing.assert_allclose(losses[1], losses[0], atol=2e-6)

        contents = [content_of(str(both.folder / f"checkpoint-{n}")) for n in (1, 2, 3)]
        (both.folder / "checkpoint-3" / "moments.safetensors").unlink()
        prepared(config, store, pool, quiet())
        assert [content_of(str(both.folder / f"checkpoint-{n}")) for n in (1, 2, 3)] == contents

        other = opened(config.model_copy(update={"store": str(tmp_path / "other")}))
        (whole,) = training.warmed_up(prepared(*other, quiet()).signals)
        assert [content_of(str(whole.folder / f"checkpoint-{n}")) for n in (1, 2, 3)] == contents
        left = {path.name for path in whole.folder.iterdir()}
        assert left == {"checkpoint-1", "checkpoint-2", "checkpoint-3", "step.json"}
        assert not (tmp_path / "home").exists()
        assert ready.signals["grads"].warmup.workers == 2

    def test_errors_are_those_of_one_worker(self, gpt2, tmp_path):
        config = self.mine(tmp_path, gpt2, learning_rate=1e30)
        with pytest.raises(ModelError, match=r"loss of the warm-up is nan in step 3 of epoch 1"):
            warm_up(config, quiet())
