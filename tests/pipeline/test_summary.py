import io
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from rich.console import Console
from tamis.pipeline.agreement import Agreement
from tamis.pipeline.finished import Finished
from tamis.pipeline.plan import make_plan
from tamis.pipeline.pool import Pool, pool_key, read_pool
from tamis.pipeline.report.beside import put_beside
from tamis.pipeline.report.funnel import funnel
from tamis.pipeline.run import select
from tamis.pipeline.store import Store
from tamis.pipeline.summary import (
    describe_plan,
    show_tokens,
    summarise,
    summarise_agreement,
    summarise_scores,
    summarise_warmups,
)
from tamis.pipeline.token_view import Token, TokenView
from tamis.pipeline.warmups import WarmedUp
from tamis.tests.runs import quiet, run_config


def shown(what):
    stream = io.StringIO()
    Console(file=stream, width=120, markup=False).print(what)
    return stream.getvalue()


def test_a_summary_says_where_and_why(tmp_path):
    result = select(run_config(tmp_path, labels="data.rating"), quiet())
    text = shown(summarise(result.folder.path, result.manifest, was_done=False))
    assert "60 rows in, 10 kept" in text
    assert str(result.folder.path / "curated") in text.replace("\n", "")
    for line in ("empty answer", "over budget", "top long", "pool"):
        assert line in text
    again = shown(summarise(result.folder.path, result.manifest, was_done=True))
    assert again.startswith("already done: 60 rows in")
    assert "under budget" not in text


def test_a_budget_that_was_not_filled_is_named(tmp_path):
    result = select(run_config(tmp_path, budget={"rows": 60}), quiet())
    text = shown(summarise(result.folder.path, result.manifest, was_done=False))
    assert "under budget:    59 of 60 rows; below is where the others ended" in text


def test_filters_alone_have_no_budget_to_fill(tmp_path):
    own = {"short": {"use": "bounds", "column": "length.answer_chars", "at_least": 120}}
    config = run_config(tmp_path, filters=own, selector=[], budget=None)
    result = select(config, quiet())
    text = shown(summarise(result.folder.path, result.manifest, was_done=False))
    assert result.manifest["rows_kept"] < 59 and "under budget" not in text
    run = Finished(result.folder.path)
    found = funnel(run, put_beside(run)).findings
    assert not [one for one in found if "budget" in one.text]


def test_warmups_show_their_checkpoints():
    facts = {"epoch": 2, "steps": 211, "rows": 27, "mean_learning_rate": 1.2859e-5, "loss": 1.25}
    text = shown(summarise_warmups([WarmedUp("grads", Path("store/warmup-x"), (facts,))]))
    for word in ("grads: store/warmup-x", "211", "27", "1.286e-05", "1.2500"):
        assert word in text
    assert text.splitlines()[-1] == 'adapters: ["store/warmup-x/checkpoint-2"]'


def test_tokens_are_printable_and_show_what_counted():
    tokens = (Token("a\x1b[31m", 0.5, 1.0), Token(" b", -0.25, 0.0))
    view = TokenView(3, "tshirt", "ok", 0.5, "kept", 0.1, 4, tokens)
    text = shown(show_tokens(view))
    assert "row 3, kept: tshirt 0.5000 (ok), 4 copies" in text
    assert "\x1b" not in text
    assert "+0.5000" in text
    assert "100%" in text
    assert "no score" in shown(show_tokens(replace(view, score=None)))


def test_agreement():
    text = shown(summarise_agreement(Agreement(kept=20, same=19, took=30, of=120)))
    assert "19 of 20 rows" in text
    assert "(95.0%)" in text
    assert "30 of 120 copies (25.0%)" in text


def test_scores(tmp_path):
    table = pa.table({"a.score": [1.0, 2.0, None], "a.status": ["ok", "truncated", "bad"]})
    text = shown(summarise_scores(tmp_path, table, ["a"]))
    assert "1 bad, 1 truncated" in text
    none = pa.table({"a.score": pa.array([None], pa.float32()), "a.status": ["bad"]})
    assert "1 bad" in shown(summarise_scores(tmp_path, none, ["a"]))


def test_a_plan_says_what_is_there(tmp_path):
    config = run_config(tmp_path)
    store = Store(tmp_path / "store")
    name = pool_key(config)
    empty = Pool(name, (), 0, {}, {"data.rating": "int64"})
    before = shown(describe_plan(make_plan(config, empty), empty, store))
    assert "not read yet" in before
    pool = read_pool(config, store, name, lambda n: None)
    plan = make_plan(config, pool)
    assert "0/4" in shown(describe_plan(plan, pool, store))
    select(config, quiet())
    after = shown(describe_plan(plan, pool, store))
    assert after.count("4/4") == 3
    assert "60 rows in, 1 rejected, 4 parts" in after
    assert "answer_chars" in after
