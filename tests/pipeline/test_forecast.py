from dataclasses import replace

import pytest
from tamis.pipeline.compute import StepReport
from tamis.pipeline.forecast import (
    Forecast,
    Work,
    beside,
    find,
    forecast_step,
    forecast_warmup,
    keep,
    key_of,
)
from tamis.pipeline.measuring import Measured, MeasuredWarmup
from tamis.pipeline.plan import make_plan
from tamis.tests.pipeline.warm import opened
from tamis.tests.runs import run_config

# 100 rows with 2,000 tokens took 4 s on one worker, 500 bytes and 1,000 of memory for the columns
MEASURED = Measured(
    "base",
    **{"rows": 100, "tokens": 2000.0, "setup_s": 1.0, "seconds": 4.0, "cpu_s": 3.0, "size": 500},
    **{"held": 1000, "peak": 10_000, "gpu_peak": 7},
)
WORK = Work(1000, 5, 30_000, True, 1000, 1, 200)


def test_one_worker():
    found = forecast_step("base", WORK, MEASURED)
    assert found.seconds == 1.0 + 4.0 * 15  # 15 times the tokens
    assert found.cpu_s == 3.0 * 15
    assert (found.tokens, found.exact, found.rows, found.parts) == (30_000, True, 1000, 5)
    assert found.rows_per_s == round(1000 / 60, 2)
    assert found.size == 5000  # ten times the rows
    ends = forecast_step("base", WORK, replace(MEASURED, ends=100))
    assert ends.size == 5 * 100 + 400 * 10  # the files of five parts
    assert found.peak == 10_000 + 1000  # a part has 100 rows more than the sample
    assert (found.gpu_peak, found.without) == (7, "")


def test_workers_take_whole_parts():
    found = forecast_step("base", replace(WORK, workers=2), MEASURED)
    assert found.seconds == 1.0 + 60 * 3 / 5  # five parts are three turns of two workers
    assert found.cpu_s == 45.0
    many = forecast_step("base", replace(WORK, workers=64), MEASURED)
    assert many.seconds == 1.0 + 60 / 5


def test_without_tokens_rows_count():
    plain = replace(MEASURED, tokens=0.0)
    found = forecast_step("base", replace(WORK, tokens=None, exact=False), plain)
    assert (found.seconds, found.tokens) == (41.0, None)


def test_tokens_that_nobody_can_count_go_by_rows():
    found = forecast_step("base", replace(WORK, tokens=None, exact=False), MEASURED)
    assert (found.seconds, found.tokens, found.exact) == (41.0, 20_000, False)


def test_a_fit_is_forecast_where_it_is_linear_and_else_said_not_to_be():
    linear = forecast_step("s", WORK, replace(MEASURED, fit_s=0.5, fit_linear=True))
    assert (linear.seconds, linear.without) == (61.0 + 5.0, "")
    other = forecast_step("s", WORK, replace(MEASURED, fit_s=0.5))
    assert other.seconds == 61.0
    assert "the fit to the whole pool is not forecast: 0.5 s for 100 rows" in other.without


def test_later_rounds_are_not_forecast_but_bounded():
    found = forecast_step("noisy", replace(WORK, rounds=3, all_rounds=10.0), MEASURED)
    assert found.seconds == 61.0
    assert "2 later rounds are not forecast: at most 540 s" in found.without


def test_what_cannot_be_measured_has_no_numbers():
    found = forecast_step("clusters", WORK, Measured("clusters", failed="k is 99"))
    assert (found.seconds, found.size, found.without) == (None, None, "not forecast: k is 99")


def test_a_warmup_goes_by_rows_and_epochs():
    measured = MeasuredWarmup("grads", 10, 4, 2.0, 8.0, 300, 50, 0)
    found = forecast_warmup(measured, 100, workers=2)
    assert (found.step, found.rows, found.seconds) == ("warm-up of grads", 400, 2.0 + 40.0)
    assert (found.size, found.rows_per_s) == (300, 10.0)


def forecast(**fields):
    base = {
        **{"key": "k", "made": "now", "rows": 1000, "sampled": (100, 16), "start_s": 2.0},
        "engine": {"kind": "ray", "workers": 2, "threads": 1},
        "steps": (forecast_step("base", WORK, MEASURED), forecast_step("ifd", WORK, MEASURED)),
    }
    return Forecast(**(base | fields))


def test_the_whole():
    found = forecast(price=36.0)
    assert found.seconds == 2 + 61 + 61
    assert found.cost == pytest.approx(1.24)
    assert found.size == 10_000
    assert found.peak == 2 * 11_000
    assert forecast().cost is None
    assert found.as_json()["cost"] == found.cost


def report(name, rows, seconds, tokens, **fields):
    facts = {"spent": {"tokens": tokens}, "cpu_s": 50.0, "size": 4000, "peak": 22_000}
    return StepReport(name, "k", (), 5, 5, rows, seconds, **(facts | fields))


def test_beside_the_truth_only_the_same_rows_are_compared():
    reports = [
        report("base", 1000, 50.0, 30_000),
        report("base", 20, 9.0, 600, number=1),  # a later round
        report("ifd", 200, 5.0, 100),  # the rest was computed by an earlier start
    ]
    found = beside(forecast().as_json(), reports)
    (step,) = found["steps"]
    assert (found["compared"], found["of"]) == (1, 2)
    assert step["off"] == {
        "seconds": 0.22,
        "cpu_s": -0.1,
        "tokens": 0.0,
        "size": 0.25,
        "peak": -0.5,
    }
    assert step["really"]["tokens"] == step["forecast"]["tokens"] == 30_000
    assert found["seconds"] == {"forecast": 63.0, "really": 50.0, "off": 0.26}
    assert found["tokens"]["off"] == 0.0


def test_with_nothing_to_compare():
    found = beside(forecast().as_json(), [])
    assert (found["steps"], found["seconds"]["off"]) == ([], None)


def test_it_is_kept_under_the_name_of_the_plan(tmp_path):
    config, store, pool = opened(run_config(tmp_path))
    name = key_of(make_plan(config, pool), pool)
    assert find(store, name) is None
    said = forecast(key=name)
    keep(said, store)
    assert find(store, name)["seconds"] == said.seconds
    same, _, _ = opened(run_config(tmp_path, budget={"rows": 3}, engine={"kind": "ray"}))
    assert key_of(make_plan(same, pool), pool) == name
    other, _, its_pool = opened(run_config(tmp_path, n=61))
    assert key_of(make_plan(other, its_pool), its_pool) != name
