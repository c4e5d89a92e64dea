import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from tamis.errors import LimitReached
from tamis.pipeline.config import LimitsConfig
from tamis.pipeline.executor import open_engine
from tamis.pipeline.limits import Clock, LimitedEngine, limited, start_clock
from tamis.pipeline.plan import make_plan
from tamis.pipeline.run import score, select
from tamis.pipeline.store import SPENT, Store
from tamis.pipeline.task import Task
from tamis.pipeline.training import prepared
from tamis.tests.pipeline.warm import config_of, opened
from tamis.tests.runs import digest, quiet, run_config

SOON = {"max_hours": 1e-9}


def test_a_cost_needs_a_price():
    with pytest.raises(ValidationError, match=r"max_cost is 5, but there is no price"):
        LimitsConfig(max_cost=5)
    for wrong in ({"max_hours": 0}, {"price": -1}, {"max_hours": float("inf")}):
        with pytest.raises(ValidationError):
            LimitsConfig(**wrong)


def test_hours_and_cost_are_those_of_all_starts():
    said = LimitsConfig(max_hours=8, max_cost=40, price=2.5)
    assert Clock(said, before_s=7.9 * 3600).reached == ""
    hours = Clock(said, before_s=8.001 * 3600, starts=3)
    assert hours.reached == "limits.max_hours is 8, and 8.00 h are used in 3 starts"
    dear = Clock(LimitsConfig(max_cost=40, price=10), before_s=4 * 3600)
    assert dear.reached == "limits.max_cost is 40, and 4.00 h at 10 an hour have cost 40.00"
    with pytest.raises(LimitReached, match=r"cost 40.00; much is left; what is computed is kept"):
        dear.check("much is left")
    assert Clock(before_s=1e9).reached == ""


def test_it_is_noted_by_run_and_forgotten_at_its_end(tmp_path):
    config, store, _ = opened(run_config(tmp_path, limits={"max_hours": 1}))
    clock = start_clock(config, store)
    clock.before_s = 100.0
    clock.note(at_once=True)
    assert json.loads(clock.path.read_text())["starts"] == 1
    more = config.model_copy(update={"limits": LimitsConfig(max_hours=2), "out": "elsewhere"})
    again = start_clock(more, store)
    assert again.starts == 2 and 100 <= again.before_s < 101
    other, _, _ = opened(run_config(tmp_path, limits={"max_hours": 1}, seed=1))
    assert start_clock(other, store).before_s == 0
    again.finished()
    assert not again.path.exists()
    assert start_clock(opened(run_config(tmp_path))[0], store).path is None


def test_between_parts_it_stops_and_says_what_is_left(tmp_path):
    config, store, pool = opened(run_config(tmp_path, limits={"max_hours": 1}))
    plan, clock = make_plan(config, pool), start_clock(config, store)
    engine = limited(open_engine(config.engine, store.root), clock, plan)
    assert isinstance(engine, LimitedEngine)
    step = plan.steps[0]
    tasks = [Task(part, step.wanted, step.reads, step.folder, step.whole) for part in pool.parts]
    receipts = engine.run(step.stage, tasks)
    next(receipts)
    clock.before_s = 7200.0
    with pytest.raises(LimitReached) as stopped:
        list(receipts)
    assert len(store.missing(step.folder, step.wanted, pool.parts, step.whole)) == 3
    said = str(stopped.value)
    assert "max_hours is 1, and 2.00 h are used; length has 44 of 59 rows left, " in said
    assert "rows/s, then long" in said
    assert "raise the limit to go on" in said


def test_without_limits_the_engine_is_as_it_was(tmp_path):
    config, store, pool = opened(run_config(tmp_path))
    engine = open_engine(config.engine, store.root)
    assert limited(engine, start_clock(config, store), make_plan(config, pool)) is engine


def test_a_run_that_was_stopped_goes_on_with_the_same_bytes(tmp_path):
    whole = select(run_config(tmp_path, out=str(tmp_path / "other")), quiet())
    fresh = {"store": str(tmp_path / "fresh")}
    with pytest.raises(LimitReached, match=r"length has 59 of 59 rows left, then "):
        select(run_config(tmp_path, limits=SOON, **fresh), quiet())
    with pytest.raises(LimitReached, match="in 2 starts"):
        select(run_config(tmp_path, limits=SOON, **fresh), quiet())
    assert len(list((tmp_path / "fresh" / SPENT).iterdir())) == 1
    done = select(run_config(tmp_path, limits={"max_hours": 1}, **fresh), quiet())
    assert done.folder.path.name == "run"  # the folder of the starts before
    assert digest(done.folder.path) == digest(whole.folder.path)
    assert list((tmp_path / "fresh" / SPENT).iterdir()) == []
    # everything is computed: a run that only selects needs no time that is counted
    again = run_config(tmp_path, limits=SOON, name="again", **fresh)
    assert select(again, quiet()).manifest["rows_kept"] == 10


def test_scores_stop_too(tmp_path):
    with pytest.raises(LimitReached):
        score(run_config(tmp_path, limits=SOON), quiet())
    assert score(run_config(tmp_path, limits={"max_hours": 1}), quiet())[1].num_rows == 59
    assert list((tmp_path / "store" / SPENT).iterdir()) == []


def test_a_warmup_stops_before_an_epoch(gpt2, tmp_path, monkeypatch):
    config, store, pool = opened(config_of(tmp_path, gpt2))
    clock, reporter = Clock(LimitsConfig(max_hours=1)), quiet()
    monkeypatch.setattr(reporter, "say", lambda said: setattr(clock, "before_s", 7200.0))
    with pytest.raises(LimitReached, match="the warm-up of grads has 1 epoch left, then come"):
        prepared(config, store, pool, reporter, clock)
    (folder,) = Path(config.store).glob("warmup-*")
    for _ in range(2):  # a start at the limit trains nothing
        assert sorted(path.name for path in folder.glob("checkpoint-*")) == ["checkpoint-1"]
        with pytest.raises(LimitReached, match="grads has 1 epoch left"):
            prepared(config, store, pool, quiet(), clock)
    prepared(config, store, pool, quiet())
    assert (folder / "checkpoint-2").is_dir()


def test_the_time_of_a_run_is_no_rubbish(tmp_path):
    from tamis.pipeline.upkeep import look

    config, store, _ = opened(run_config(tmp_path, limits={"max_hours": 1}))
    start_clock(config, store).note()
    assert isinstance(store, Store) and (store.root / SPENT).is_dir()
    assert SPENT not in [entry.folder.name for entry in look(store, {}, now=1e12)]
