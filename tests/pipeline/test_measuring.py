from pathlib import Path

import numpy as np
import pytest
from tamis.errors import ModelError
from tamis.pipeline import measuring
from tamis.pipeline.compute import compute
from tamis.pipeline.executor import LocalEngine, open_engine
from tamis.pipeline.measuring import count_tokens, measure_steps, measure_warmups
from tamis.pipeline.plan import make_plan
from tamis.pipeline.sample import make_sample
from tamis.pipeline.store import Store
from tamis.pipeline.warmups import with_adapters
from tamis.tests.pipeline.warm import config_of, opened
from tamis.tests.runs import model_config, quiet, run_config


def measured(config, n=20):
    """What every step of a config takes on the first rows of its pool."""
    config, store, pool = opened(config)
    small = Store(Path(config.store).with_name("small"))
    sample = make_sample(store, pool, (np.arange(n), np.array([30])), {}, small)
    plan = make_plan(config, sample.pool)
    engine = LocalEngine(config.engine, str(small.root))
    asked = [("", step.name) for step in plan.steps]
    found = measure_steps(plan, {"": sample}, asked, engine, small, quiet())
    return {one.name: one for one in found}, small, sample, plan


def test_a_step_is_run_as_in_a_run(gpt2, tmp_path):
    found, small, sample, plan = measured(model_config(tmp_path, gpt2))
    base = found["base"]
    assert list(found) == [step.name for step in plan.steps] == ["base", "ifd", "random"]
    assert (base.rows, base.fit_s, base.failed) == (20, None, "")
    assert base.cpu_s > 0 and base.setup_s > 0 and base.seconds > 0
    step = plan.steps[0]
    files = small.root.glob(f"{step.folder}/*/{sample.drawn.name(step.whole)}.parquet")
    assert base.size == sum(file.stat().st_size for file in files)
    assert 0 < base.ends < base.size
    assert base.tokens == count_tokens(step, [sample.drawn], small)[0]
    assert found["ifd"].peak >= base.peak > 100e6
    assert 0 < base.held < 1e6


@pytest.mark.parametrize(
    "signal",
    [
        {"use": "forward"},
        {"use": "neighbours", "copies": 3},
        {"use": "neighbours", "copies": 5, "rounds": [2, 5], "mode": "official"},
        {"use": "divergence", "other": {"method": "magnitude", "share": 0.5}},
    ],
)
def test_tokens_are_counted_exactly_without_a_model(signal, gpt2, tmp_path):
    reads = {"forward": "perplexity", "neighbours": "tshirt", "divergence": "paser"}
    block = signal | {"model": str(gpt2), "dtype": "fp32", "max_tokens": 40}
    scorer = {"use": reads[signal["use"]], "signal": "base"}
    signals = {"base": block}
    if signal["use"] == "divergence":
        scorer = {"use": "column", "column": "base.given.jsd_sum"}
    config, store, pool = opened(
        run_config(tmp_path, signals=signals, scorers={"one": scorer}, selector=[])
    )
    plan = make_plan(config, pool)
    counted, exact = count_tokens(plan.steps[0], pool.parts, store)
    reports = compute(plan, pool, store, open_engine(config.engine, store.root), quiet())
    assert exact and counted == reports[0].spent["tokens"] > 500


def test_of_a_large_pool_some_parts_are_counted(gpt2, tmp_path, monkeypatch):
    config, store, pool = opened(model_config(tmp_path, gpt2))
    step = make_plan(config, pool).steps[0]
    whole, exact = count_tokens(step, pool.parts, store)
    assert exact
    monkeypatch.setattr(measuring, "CENSUS", 30)
    some, exact = count_tokens(step, pool.parts, store)
    assert not exact and some == pytest.approx(whole, rel=0.3) and some != whole


def test_steps_without_a_model_have_no_tokens(tmp_path):
    config, store, pool = opened(run_config(tmp_path))
    assert count_tokens(make_plan(config, pool).steps[0], pool.parts, store) == (None, False)


def test_a_step_that_needs_more_rows_says_so_and_so_do_its_readers(gpt2, tmp_path):
    signals = {
        "base": {"use": "forward", "model": str(gpt2), "dtype": "fp32"},
        "clusters": {"use": "clusters", "of": "base.embedding", "k": 40},
    }
    quota = {"use": "quota", "by": "long.score", "column": "clusters.label", "shares": "equal"}
    scorers = {"long": {"use": "length", "signal": "base"}}
    found, *_ = measured(
        run_config(tmp_path, signals=signals, scorers=scorers, selector=[quota]), n=10
    )
    assert found["clusters"].failed.startswith("does not fit to a sample: ")
    assert found["base"].failed == found["long"].failed == ""


def test_other_mistakes_end_it(tmp_path, gpt2):
    config = model_config(tmp_path, gpt2)
    (tmp_path / "bad").mkdir()
    for file in gpt2.iterdir():
        (tmp_path / "bad" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "bad/model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelError):
        measured(model_config(tmp_path, tmp_path / "bad"))
    assert config


def test_a_warmup_trains_a_step_for_each_epoch(gpt2, tmp_path):
    config, store, pool = opened(config_of(tmp_path, gpt2))
    trained, (one,) = measure_warmups(config, store, pool, quiet())
    assert (one.name, one.rows, one.epochs) == ("grads", 4, 2)
    adapters = trained.signals["grads"].adapters
    assert [Path(path).name for path in adapters] == ["checkpoint-1", "checkpoint-2"]
    sizes = [f.stat().st_size for p in adapters for f in Path(p).rglob("*") if f.is_file()]
    assert one.size == sum(sizes) > 0 and one.seconds > 0 and one.setup_s > 0
    assert with_adapters(config, []).signals["grads"].adapters == ()
    plan = make_plan(trained, pool)
    counted, _ = count_tokens(plan.steps[0], pool.parts, store)
    reports = compute(plan, pool, store, open_engine(config.engine, store.root), quiet())
    assert counted == reports[0].spent["tokens"]
