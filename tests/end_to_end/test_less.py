"""LESS with a real model in whole runs: engines, kills, appended rows, rows that fail."""

import pyarrow.parquet as pq
import pytest
from tamis.errors import DataError, PlanError
from tamis.pipeline.run import select
from tamis.pipeline.training import warm_up
from tamis.stages.checkpoints import content_of
from tamis.tests.runs import digest, kill_at, quiet, run_config
from tamis.tests.stages.trained import make_checkpoints
from tamis.tests.tiny import alpaca, broken_model, write_jsonl

N = 40
WARMUP = {"share": 0.2, "rank": 2, "alpha": 4, "learning_rate": 0.01, "epochs": 2, "batch": 4}


def config_of(folder, model, n=N, warmup=WARMUP, adapters=(), **fields):
    """A pool of `n` rows in parts of 16; a target of five rows in two subtasks."""
    goal = folder / "goal.jsonl"
    if not goal.exists():
        rows = alpaca(5, seed=1)
        write_jsonl(goal, [row | {"kind": "aabbb"[i]} for i, row in enumerate(rows)])
    gradient = {"use": "gradient", "model": str(model), "dtype": "fp32", "dim": 64}
    target = {"path": str(goal), "subtask": "data.kind", "shots": 1}
    base = {
        "targets": {"goal": target},
        "signals": {"gradient": gradient | {"warmup": warmup, "adapters": list(adapters)}},
        "scorers": {"less": {"use": "influence", "target": "goal"}},
        "selector": [{"use": "top_k", "by": "less.score"}],
        "budget": {"rows": 8},
    }
    return run_config(folder, n, **(base | fields))


def ledger_of(result):
    return pq.read_table(result.folder.path / "ledger.parquet").to_pylist()


def steps(result):
    return {(s["target"], s["name"]): s["computed"] for s in result.manifest["steps"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory, gpt2):
    return select(config_of(tmp_path_factory.mktemp("local"), gpt2), quiet())


@pytest.fixture(scope="module")
def expected(run):
    return digest(run.folder.path)


def test_the_ledger_says_which_row_of_the_target(run):
    assert steps(run) == {("goal", "gradient"): 1, ("", "gradient"): 3, ("", "less"): 3}
    ledger = ledger_of(run)
    kept = sorted((r for r in ledger if r["outcome"] == "kept"), key=lambda row: row["rank"])
    assert len(kept) == 8
    scores = [row["less.score"] for row in kept]
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= score <= 1 for score in scores)
    assert {row["less.target"] for row in kept} == {"goal"}
    assert all(
        row["less.query"] in {"a": (0, 1), "b": (2, 3, 4)}[row["less.subtask"]] for row in kept
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ray_gives_the_bytes_of_the_local_engine(tmp_path, gpt2, expected, workers):
    engine = {"kind": "ray", "workers": workers}
    result = select(config_of(tmp_path, gpt2, engine=engine), quiet())
    assert digest(result.folder.path) == expected


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
@pytest.mark.parametrize(
    "moment",
    [
        "store/warmup-*/step.json",
        "store/warmup-*/checkpoint-1",
        "store/gradient-*/plain/*.parquet",
        "store/gradient-*/adam/*.parquet",
        "store/influence-*/score/*.parquet",
        "runs/run/ledger.parquet",
    ],
)
def test_a_kill_loses_nothing_that_was_finished(tmp_path, gpt2, expected, moment, engine):
    """SIGKILL of the driver as soon as a file is there: in warm-up, gradients or selection."""
    config = config_of(tmp_path, gpt2, engine={"kind": engine, "workers": 1})
    kill_at(moment, config, tmp_path)
    trained = {path: content_of(str(path)) for path in tmp_path.glob("store/warmup-*/checkpoint-*")}
    done = len(list(tmp_path.glob("store/gradient-*/adam/*.parquet")))
    result = select(config, quiet())
    if not result.was_done:
        assert steps(result)["", "gradient"] <= 3 - done + 1  # of one part a column may be missing
    assert {path: content_of(str(path)) for path in trained} == trained
    assert digest(result.folder.path) == expected
    assert result.folder.path.name == "run"


def test_appended_rows_cost_only_themselves_with_a_fixed_warm_up(tmp_path, gpt2):
    """39 usable rows: the share is taken from them, whatever comes behind."""
    warmup = WARMUP | {"first": 39}
    first = select(config_of(tmp_path, gpt2, warmup=warmup), quiet())
    more = select(config_of(tmp_path, gpt2, n=60, warmup=warmup), quiet())
    assert len(list((tmp_path / "store").glob("warmup-*"))) == 1
    # 40 rows are parts of 16, 16 and 8 rows, 60 rows of 16, 16, 16 and 12
    assert steps(more) == {("goal", "gradient"): 0, ("", "gradient"): 2, ("", "less"): 2}
    before, after = ledger_of(first), ledger_of(more)
    assert [row["less.score"] for row in before] == pytest.approx(
        [row["less.score"] for row in after[:N]], abs=2e-3
    )
    assert [row["less.score"] for row in before[:32]] == [row["less.score"] for row in after[:32]]


def test_appended_rows_cost_only_themselves_with_named_adapters(tmp_path, gpt2, expected):
    """What `tamis warmup` says, as `adapters`: the same gradients, no training for more rows."""
    (trained,) = warm_up(config_of(tmp_path, gpt2), quiet())
    folders = [str(trained.folder / f"checkpoint-{epoch}") for epoch in (1, 2)]
    named = {"warmup": None, "adapters": folders}
    found = digest(select(config_of(tmp_path, gpt2, **named), quiet()).folder.path)
    changed = {name for name, checksum in found.items() if checksum != expected[name]}
    assert changed == {"curated/README.md"}  # the card holds the recipe, with the folders
    more = select(config_of(tmp_path, gpt2, n=60, **named), quiet())
    assert steps(more) == {("goal", "gradient"): 0, ("", "gradient"): 2, ("", "less"): 2}
    assert len(list((tmp_path / "store").glob("warmup-*"))) == 1


def test_appended_rows_take_part_in_a_warm_up_that_is_not_fixed(tmp_path, gpt2):
    select(config_of(tmp_path, gpt2), quiet())
    more = select(config_of(tmp_path, gpt2, n=60), quiet())
    assert len(list((tmp_path / "store").glob("warmup-*"))) == 2
    assert steps(more) == {("goal", "gradient"): 1, ("", "gradient"): 4, ("", "less"): 4}


def test_a_warm_up_on_more_rows_than_there_are(tmp_path, gpt2):
    said = r"signals\.gradient\.warmup\.first is 50, but the pool has 39 usable rows"
    with pytest.raises(PlanError, match=said):
        select(config_of(tmp_path, gpt2, warmup=WARMUP | {"first": 50}), quiet())


def test_another_target_and_budget_take_the_gradients_that_are_there(tmp_path, gpt2):
    select(config_of(tmp_path, gpt2), quiet())
    other = {"path": str(tmp_path / "goal.jsonl"), "rows": [0, 3]}
    fields = {"targets": {"goal": other}, "budget": {"rows": 3}, "name": "other"}
    result = select(config_of(tmp_path, gpt2, **fields), quiet())
    assert steps(result) == {("goal", "gradient"): 1, ("", "gradient"): 0, ("", "less"): 3}


class TestRowsThatFail:
    """The model breaks where a text has the sign §: in gradients as in embeddings."""

    def config(self, tmp_path, llama, goal):
        model = broken_model(llama, tmp_path / "broken")
        rows = alpaca(12)
        rows[3]["output"] += " §"
        rows[7]["instruction"] = "word " * 600
        write_jsonl(tmp_path / "pool-12.jsonl", rows)
        write_jsonl(tmp_path / "goal.jsonl", [row | {"kind": "a"} for row in goal])
        forward = {"use": "forward", "model": str(model), "dtype": "fp32"}
        gradient = forward | {"use": "gradient", "dim": 64}
        return config_of(
            tmp_path,
            model,
            12,
            signals={
                "gradient": gradient | {"adapters": make_checkpoints(llama, tmp_path, 1)},
                "base": forward | {"pooling": "weighted_mean"},
            },
            scorers={
                "less": {"use": "influence", "target": "goal"},
                "rds": {"use": "rds_plus", "target": "goal"},
                "like": {"use": "similarity", "target": "goal"},
            },
            budget={"rows": 2},
        )

    def test_they_say_why(self, tmp_path, llama):
        ledger = ledger_of(select(self.config(tmp_path, llama, alpaca(2, seed=1)), quiet()))
        for name in ("less", "rds", "like"):
            expected = ["ok"] * 12
            expected[3], expected[7] = "not_finite", "instruction_too_long"
            assert [row[f"{name}.status"] for row in ledger] == expected
            assert [row[f"{name}.score"] is None for row in ledger] == [
                said != "ok" for said in expected
            ]
        assert (ledger[3]["step"], ledger[3]["reason"]) == ("less", "not_finite")

    def test_one_of_the_target_is_an_error(self, tmp_path, llama):
        """Row 1 fails, and is the example of row 0."""
        goal = alpaca(2, seed=1)
        goal[1]["output"] += " §"
        said = r"targets\.goal: row 0 has no gradient\.plain .*\(status not_finite\)"
        with pytest.raises(DataError, match=said):
            select(self.config(tmp_path, llama, goal), quiet())
