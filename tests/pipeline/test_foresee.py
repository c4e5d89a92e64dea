import json
from dataclasses import replace

import pytest
from tamis.errors import PlanError
from tamis.pipeline import foresee as own
from tamis.pipeline.cli import app
from tamis.pipeline.config import EngineConfig
from tamis.pipeline.foresee import check_model, foresee, misfits, n_workers
from tamis.pipeline.plan import make_plan
from tamis.pipeline.run import select
from tamis.tests.pipeline.warm import config_of, opened
from tamis.tests.runs import digest, model_config, quiet, run_config
from tamis.tests.tiny import alpaca, write_jsonl
from typer.testing import CliRunner


def test_the_forecast_stands_beside_the_truth(gpt2, tmp_path):
    config = model_config(tmp_path, gpt2)
    plain = select(config.model_copy(update={"store": str(tmp_path / "s2")}), quiet())
    said = foresee(config, quiet(), rows=20)
    assert [step.step for step in said.steps] == ["base", "ifd", "random"]
    assert said.sampled == (20, 59) and said.rows == 59
    done = select(config.model_copy(update={"out": str(tmp_path / "other")}), quiet())
    assert digest(done.folder.path) == digest(plain.folder.path)  # it changes nothing
    assert "forecast" not in plain.manifest
    found = done.manifest["forecast"]
    assert (found["compared"], found["of"]) == (3, 3)
    base = found["steps"][0]
    assert base["off"]["tokens"] == 0.0 and base["really"]["tokens"] > 1000
    assert abs(found["size"]["off"]) < 1  # small files: mostly their ends
    for figure in ("seconds", "cpu_s", "peak"):
        assert base["really"][figure] > 0 and base["forecast"][figure] > 0
    again = foresee(config, quiet())
    assert again.steps == () and again.seconds == 0 and set(again.done) == {"base", "ifd", "random"}


def test_what_is_there_costs_nothing(gpt2, tmp_path):
    select(model_config(tmp_path, gpt2), quiet())
    more = {"ifd": {"use": "ifd"}, "loss": {"use": "perplexity"}, "random": {"use": "random"}}
    said = foresee(model_config(tmp_path, gpt2, scorers=more), quiet(), rows=12)
    assert [step.step for step in said.steps] == ["loss"]
    assert set(said.done) == {"base", "ifd", "random"}
    fewer = {"random": {"use": "random", "seed": 5}, "ifd": {"use": "ifd"}}
    said = foresee(model_config(tmp_path, gpt2, scorers=fewer), quiet(), rows=12)
    assert [step.step for step in said.steps] == ["random"] and said.done == ("base", "ifd")


def test_warmups_and_targets(gpt2, tmp_path):
    rows = write_jsonl(tmp_path / "goal.jsonl", alpaca(5, seed=9))
    scorers = {"near": {"use": "influence", "signal": "grads", "target": "goal"}}
    config = config_of(
        tmp_path,
        gpt2,
        scorers=scorers,
        targets={"goal": {"path": str(rows)}},
        selector=[{"use": "top_k", "by": "near.score"}],
    )
    said = foresee(config, quiet(), rows=16)
    steps = {(step.target, step.step): step for step in said.steps}
    assert set(steps) == {
        ("", "warm-up of grads"),
        ("goal", "grads"),
        ("", "grads"),
        ("", "near"),
    }
    assert all(step.seconds and not step.without for step in said.steps)
    assert steps["", "warm-up of grads"].rows == 2 * 8  # a fifth of 39 rows, two epochs
    found = select(config, quiet()).manifest["forecast"]
    off = {(step["target"], step["step"]): step["off"] for step in found["steps"]}
    assert off["", "grads"]["tokens"] == off["goal", "grads"]["tokens"] == 0.0
    assert abs(off["", "grads"]["size"]) < 0.35


def test_what_cannot_fit_is_refused(tmp_path, monkeypatch):
    config, *_ = opened(run_config(tmp_path))
    said = foresee(config, quiet(), rows=10)
    assert misfits(config, said) == []
    monkeypatch.setattr(own, "disk_free", lambda path: 10)
    monkeypatch.setattr(own, "memory_available", lambda: 1 << 20)
    monkeypatch.setattr(own, "memory_in_use", lambda: 0)
    disk, memory = misfits(config, said)
    assert disk.startswith("the columns will take 0.00 GB, and 0.00 GB are free for the store")
    assert "GB of memory, and 0.0 GB are available" in memory
    engine = {"kind": "ray", "workers": 3, "threads": 1}
    _, several = misfits(config, replace(said, engine=engine))
    assert several.startswith("3 workers will take at least") and "engine.workers" in several
    monkeypatch.setattr(own, "memory_available", lambda: None)
    monkeypatch.setattr(own, "disk_free", lambda path: None)
    assert misfits(config, said) == []


def test_a_model_that_does_not_fit_is_not_even_loaded(gpt2, tmp_path, monkeypatch):
    config, _, pool = opened(model_config(tmp_path, gpt2))
    step = make_plan(config, pool).steps[0]
    check_model(step)
    monkeypatch.setattr(own, "memory_available", lambda: 100_000)
    with pytest.raises(PlanError, match=r"signals.base: the weights of .* in fp32 take 0.0 GB"):
        check_model(step)


def test_workers_of_an_engine(monkeypatch):
    monkeypatch.setattr(own, "n_cores", lambda: 8)
    assert n_workers(EngineConfig(kind="local", workers=4)) == 1
    assert n_workers(EngineConfig(workers=5)) == 5
    assert n_workers(EngineConfig(threads=3)) == 2
    assert n_workers(EngineConfig(threads=16)) == 1


def test_the_command(tmp_path):
    (tmp_path / "c.yaml").write_text(run_config(tmp_path).to_yaml())
    command = ["plan", str(tmp_path / "c.yaml")]
    done = CliRunner().invoke(app, [*command, "--measure", "--rows", "10", "--price", "3"])
    assert done.exit_code == 0, done.output
    assert "measured on 10 of 59 rows" in done.output and "at 3 an hour" in done.output
    done = CliRunner().invoke(app, [*command, "--measure", "--rows", "10", "--json"])
    found = json.loads(done.stdout[done.stdout.index("{") :])
    assert found["price"] is None and found["steps"][0]["step"] == "length"
    for wrong in (["--json"], ["--rows", "10"], ["--price", "3"]):
        assert CliRunner().invoke(app, [*command, *wrong]).exit_code != 0


@pytest.mark.slow
def test_rays_own_start_is_measured(tmp_path):
    engine = {"kind": "ray", "workers": 2}
    config = run_config(tmp_path, engine=engine)
    said = foresee(config, quiet(), rows=20)
    assert said.start_s > 1 and "2 workers" in said.assumes[0]
    found = select(config, quiet()).manifest["forecast"]
    assert found["seconds"]["really"] > 1
