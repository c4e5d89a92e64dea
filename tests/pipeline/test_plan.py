import pytest
from tamis.errors import PlanError
from tamis.pipeline.config import Config
from tamis.pipeline.plan import make_plan
from tamis.pipeline.pool import Pool
from tamis.pipeline.store import Part

POOL = Pool("p", (Part("a" * 32, 0, 5), Part("b" * 32, 10, 5)), 10, {}, {"data.rating": "int64"})
BIGGER = Pool("q", (*POOL.parts, Part("c" * 32, 20, 5)), 15, {}, POOL.columns)


def config(gpt2, **fields):
    base = {
        "name": "x",
        "data": [{"name": "d", "path": "p"}],
        "signals": {"base": {"use": "forward", "model": str(gpt2), "dtype": "fp32"}},
        "scorers": {"ifd": {"use": "ifd"}},
        "selector": [{"use": "top_k", "by": "ifd.score"}],
        "budget": {"rows": 2},
    }
    return Config.model_validate(base | fields)


def plan(gpt2, pool=POOL, **fields):
    return make_plan(config(gpt2, **fields), pool)


def keys(made):
    return {step.name: step.key for step in made.steps}


def test_only_what_is_read_is_wanted(gpt2):
    made = plan(gpt2)
    base, ifd = made.steps
    assert set(base.wanted) == {
        "given.token_loss_sum",
        "given.token_loss_count",
        "alone.token_loss_sum",
        "alone.token_loss_count",
        "given.status",
        "alone.status",
        "status",
    }
    assert ifd.wanted == ("score", "status")
    assert ifd.reads["base.status"].folder == base.folder
    assert base.folder == f"forward-{base.key}"


def test_a_signal_that_nobody_reads_does_not_run(gpt2):
    signals = {"base": {"use": "forward", "model": str(gpt2)}, "spare": {"use": "length"}}
    assert [step.name for step in plan(gpt2, signals=signals).steps] == ["base", "ifd"]


def test_a_second_scorer_shares_the_pass(gpt2):
    scorers = {"ifd": {"use": "ifd"}, "ppl": {"use": "perplexity"}, "hard": {"use": "entropy"}}
    made = plan(gpt2, scorers=scorers)
    assert [step.name for step in made.steps] == ["base", "ifd", "ppl", "hard"]
    assert keys(made)["base"] == keys(plan(gpt2))["base"]
    assert keys(made)["ifd"] == keys(plan(gpt2))["ifd"]


class TestKeys:
    def test_how_it_runs_does_not_matter(self, gpt2):
        engine = {"kind": "local", "workers": 7, "memory": 10**9}
        other = plan(gpt2, engine=engine, store="elsewhere", out="there", budget={"rows": 1})
        assert keys(other) == keys(plan(gpt2))

    def test_threads_matter_to_what_computes_with_them(self, gpt2):
        other = plan(gpt2, engine={"threads": 2})
        assert keys(other)["base"] != keys(plan(gpt2))["base"]

    def test_a_parameter_changes_its_step_and_those_after(self, gpt2):
        signals = {
            "base": {"use": "forward", "model": str(gpt2), "dtype": "fp32", "template": "alpaca"}
        }
        first, second = keys(plan(gpt2)), keys(plan(gpt2, signals=signals))
        assert first["base"] != second["base"]
        assert first["ifd"] != second["ifd"]
        third = keys(plan(gpt2, scorers={"ifd": {"use": "ifd", "mode": "cherry"}}))
        assert third["base"] == first["base"]
        assert third["ifd"] != first["ifd"]

    def test_another_name_is_the_same_signal(self, gpt2):
        signals = {"m": {"use": "forward", "model": str(gpt2), "dtype": "fp32"}}
        scorers = {"ifd": {"use": "ifd", "signal": "m"}}
        other = plan(gpt2, signals=signals, scorers=scorers)
        assert keys(other)["m"] == keys(plan(gpt2))["base"]

    def test_the_pool_matters_only_to_what_sees_it_whole(self, gpt2):
        scorers = {"ifd": {"use": "ifd"}, "mid": {"use": "perplexity", "prefer": "middle"}}
        first, second = (keys(plan(gpt2, pool, scorers=scorers)) for pool in (POOL, BIGGER))
        assert first["base"] == second["base"]
        assert first["ifd"] == second["ifd"]
        assert first["mid"] != second["mid"]

    def test_a_fitted_signal_and_all_after_it_are_of_this_pool(self, gpt2):
        signals = {
            "base": {"use": "forward", "model": str(gpt2), "dtype": "fp32"},
            "groups": {"use": "clusters", "of": "base.embedding", "k": 2},
        }
        scorers = {"far": {"use": "column", "column": "groups.distance"}, "ifd": {"use": "ifd"}}
        made = [plan(gpt2, pool, signals=signals, scorers=scorers) for pool in (POOL, BIGGER)]
        first, second = map(keys, made)
        assert first["base"] == second["base"]
        assert first["ifd"] == second["ifd"]
        assert first["groups"] != second["groups"]
        assert first["far"] != second["far"]
        assert plan(gpt2, signals=signals, scorers=scorers) == made[0]

    def test_a_fitted_signal_works_in_one_round(self, gpt2, monkeypatch):
        from tamis.stages.signals.length import Length

        monkeypatch.setattr(Length, "fits_pool", True)
        signals = {"length": {"use": "length"}}
        scorers = {"ifd": {"use": "length", "unit": "chars"}}
        assert plan(gpt2, signals=signals, scorers=scorers).steps
        monkeypatch.setattr(Length, "n_rounds", 2)
        with pytest.raises(PlanError, match=r"signals\.length fits the whole pool"):
            plan(gpt2, signals=signals, scorers=scorers)


def test_scorers_may_read_each_other(gpt2):
    scorers = {"again": {"use": "column", "column": "ifd.score"}, "ifd": {"use": "ifd"}}
    made = plan(gpt2, scorers=scorers)
    assert [step.name for step in made.steps] == ["base", "ifd", "again"]


def test_a_budget_in_tokens_needs_a_signal_that_counts(gpt2):
    made = plan(gpt2, budget={"answer_tokens": 100})
    assert made.cost == "base.answer_tokens"
    assert "answer_tokens" in made.steps[0].wanted
    with pytest.raises(PlanError, match="needs a signal that counts them"):
        plan(
            gpt2,
            budget={"answer_tokens": 100},
            signals={"length": {"use": "length"}},
            scorers={"r": {"use": "random"}},
            selector=[{"use": "top_k", "by": "r.score"}],
        )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"scorers": {"ifd": {"use": "ifd", "signal": "basis"}}},
            r"ifd reads basis\.given\.token_loss_sum, which nobody makes.* the blocks base, ifd",
        ),
        ({"selector": [{"use": "top_k", "by": "idf.score"}]}, r"selector\.0 reads idf\.score"),
        (
            {"selector": [{"use": "top_k", "by": "ifd.scores"}]},
            "ifd makes no such column, but score, status",
        ),
        ({"selector": [{"use": "top_k", "by": "ifd.status"}]}, "as float, but it is string"),
        ({"selector": [{"use": "top_k", "by": "data.rating"}]}, "the `column` scorer"),
        (
            {
                "scorers": {"r": {"use": "column", "column": "data.rate"}},
                "selector": [{"use": "top_k", "by": "r.score"}],
            },
            r"reads data\.rate, which nobody makes.* the input columns data\.rating",
        ),
        (
            {"scorers": {"ifd": {"use": "length", "signal": "base", "unit": "chars"}}},
            "reads base.answer_chars; base makes no such column",
        ),
        (
            {
                "scorers": {
                    "a": {"use": "column", "column": "b.score"},
                    "b": {"use": "column", "column": "a.score"},
                },
                "selector": [{"use": "top_k", "by": "a.score"}],
            },
            "read each other in a circle: a, b",
        ),
        ({"labels": "data.nothing"}, r"labels reads data\.nothing"),
        (
            {"scorers": {"ifd": {"use": "column", "column": "row_id"}}},
            "ifd reads row_id, which is a place in the pool",
        ),
        (
            {"scorers": {"ifd": {"use": "ifd", "mode": "aligned"}}, "signals": "official"},
            "does not fit signals.base: needs tokenisation: exact, but it is official",
        ),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(gpt2, fields, message):
    if fields.get("signals") == "official":
        signal = {"use": "forward", "model": str(gpt2), "tokenisation": "official"}
        fields = fields | {"signals": {"base": signal}}
    with pytest.raises(PlanError, match=message):
        plan(gpt2, **fields)


def test_before_the_pool_is_read_any_input_column_may_yet_come(gpt2):
    unread = Pool("p", (), 0, {}, {"data.rating": "int64"})
    scorers = {"ifd": {"use": "column", "column": "data.late"}}
    assert plan(gpt2, unread, scorers=scorers).columns["ifd.score"].whole


def test_what_comes_from_conversations_alone_is_named_by_them(gpt2):
    scorers = {"ifd": {"use": "ifd"}, "rated": {"use": "column", "column": "data.rating"}}
    made = plan(gpt2, scorers=scorers)
    assert {step.name: step.whole for step in made.steps} == {
        "base": False,
        "ifd": False,
        "rated": True,
    }


def test_a_column_of_another_type_gives_another_key(gpt2):
    scorers = {"ifd": {"use": "column", "column": "data.rating"}}
    text = Pool("p", POOL.parts, 10, {}, {"data.rating": "string"})
    assert keys(plan(gpt2, scorers=scorers)) != keys(plan(gpt2, text, scorers=scorers))
