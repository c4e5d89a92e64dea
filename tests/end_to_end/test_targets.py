"""RDS+ on two sources with a target of a few rows of one, through whole runs."""

import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from tamis.errors import UsageError
from tamis.pipeline.cli import app
from tamis.pipeline.load import load
from tamis.pipeline.overrides import Overrides
from tamis.pipeline.run import score, select
from tamis.tests.runs import digest, kill_at, quiet, run_config
from tamis.tests.tiny import alpaca, write_jsonl
from typer.testing import CliRunner

TAMIS = str(Path(sys.executable).parent / "tamis")
SUMS = [
    {"instruction": f"What is {i} + {i + 1}?", "output": f"{i} + {i + 1} = {2 * i + 1}", "kind": k}
    for i, k in zip(range(20), "abcd" * 5, strict=True)
]


def config_of(folder, model, n=40, **fields):
    """A pool of `n` random rows and 20 sums; the target is three of the sums."""
    sums, rest = folder / "sums.jsonl", folder / f"rest-{n}.jsonl"
    if not sums.exists():
        write_jsonl(sums, SUMS)
    write_jsonl(rest, alpaca(n))
    forward = {"use": "forward", "model": str(model), "dtype": "fp32", "pooling": "weighted_mean"}
    base = {
        "data": [{"name": "sums", "path": str(sums)}, {"name": "rest", "path": str(rest)}],
        "targets": {"sums": {"path": str(sums), "rows": [0, 5, 9], "subtask": "data.kind"}},
        "signals": {"base": forward},
        "scorers": {
            "rds": {"use": "rds_plus", "target": "sums"},
            "like": {"use": "similarity", "target": "sums", "aggregate": "mean_max"},
        },
        "selector": [{"use": "round_robin", "by": "rds.by_query"}],
        "budget": {"rows": 12},
    }
    return run_config(folder, **(base | fields))


def steps(result):
    return {(s["target"], s["name"]): s["computed"] for s in result.manifest["steps"]}


@pytest.fixture(scope="module")
def expected(tmp_path_factory, gpt2):
    folder = tmp_path_factory.mktemp("local")
    result = select(config_of(folder, gpt2), quiet())
    return folder, result, digest(result.folder.path)


def test_what_is_like_the_target_is_kept(expected):
    _, result, _ = expected
    assert steps(result) == {("sums", "base"): 1, ("", "base"): 4, ("", "rds"): 4, ("", "like"): 4}
    assert result.manifest["targets"]["sums"]["rows"] == 3
    ledger = pq.read_table(result.folder.path / "ledger.parquet").to_pylist()
    kept = sorted((r for r in ledger if r["outcome"] == "kept"), key=lambda row: row["rank"])
    assert [row["reason"] for row in kept[:3]] == [f"query: sums[{i}]" for i in range(3)]
    assert [row["row_id"] for row in kept[:3]] == [0, 5, 9]  # the target's own rows are the nearest
    assert {row["source"] for row in kept} == {"sums"}
    for row in kept[:3]:
        assert row["rds.score"] == pytest.approx(1, abs=2e-3)
        assert row["rds.target"] == "sums"
        assert row["reason"] == f"query: sums[{row['rds.query']}]"
    assert [row["rds.subtask"] for row in kept[:3]] == ["a", "b", "b"]  # of rows 0, 5 and 9
    assert {row["like.subtask"] for row in ledger} <= {"a", "b"}
    ends = {(end["outcome"], end["reason"]): end["n"] for end in result.manifest["ends"]}
    assert ends == {("kept", "query"): 12, ("dropped", "over budget"): 48}
    assert "subtask: data.kind" in (result.folder.path / "curated" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ray_gives_the_same_bytes(tmp_path, gpt2, expected, workers):
    engine = {"kind": "ray", "workers": workers}
    result = select(config_of(tmp_path, gpt2, engine=engine), quiet())
    assert digest(result.folder.path) == expected[2]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
@pytest.mark.parametrize(
    "moment",
    [
        "store/forward-*/embedding/*.parquet",
        "store/rds_plus-*/fitted.parquet",
        "store/similarity-*/score/*.parquet",
        "runs/run/ledger.parquet",
    ],
)
def test_a_kill_loses_nothing_that_was_finished(tmp_path, gpt2, expected, moment, engine):
    """SIGKILL of the driver as soon as a file is there: of the target, scores or selection."""
    config = config_of(tmp_path, gpt2, engine={"kind": engine, "workers": 1})
    kill_at(moment, config, tmp_path)
    done = len(list(tmp_path.glob("store/forward-*/status/*.parquet")))  # written last of a part
    result = select(config, quiet())
    if not result.was_done:
        found = steps(result)
        # a worker of Ray may live on for a moment, and finish its part
        assert found["sums", "base"] + found["", "base"] <= 5 - done
    assert digest(result.folder.path) == expected[2]
    assert result.folder.path.name == "run"


def test_a_lost_file_of_target_or_state_is_made_again(tmp_path, gpt2, expected):
    config = config_of(tmp_path, gpt2)
    select(config, quiet())
    store = tmp_path / "store"
    (state,) = store.glob("rds_plus-*/fitted.parquet")
    scores = next(store.glob("rds_plus-*/score/*.parquet"))
    (own,) = (p for p in store.glob("forward-*/embedding/*") if pq.read_metadata(p).num_rows == 3)
    for path in (state, scores, own):
        path.unlink()
    again = select(config, quiet(), overwrite=True)
    assert steps(again) == {("sums", "base"): 1, ("", "base"): 0, ("", "rds"): 1, ("", "like"): 0}
    assert digest(again.folder.path) == expected[2]


def test_a_damaged_state_is_found_out(tmp_path, gpt2, expected):
    config = config_of(tmp_path, gpt2)
    select(config, quiet())
    (state,) = (tmp_path / "store").glob("rds_plus-*/fitted.parquet")
    state.write_bytes(state.read_bytes()[:-7])
    next((tmp_path / "store").glob("rds_plus-*/score/*.parquet")).unlink()
    again = select(config, quiet(), overwrite=True)
    assert digest(again.folder.path) == expected[2]
    assert state.with_name("fitted.parquet.damaged").exists()


def test_appended_rows_cost_only_themselves(tmp_path, gpt2):
    first = select(config_of(tmp_path, gpt2), quiet())
    more = select(config_of(tmp_path, gpt2, n=60), quiet())
    assert steps(more) == {("sums", "base"): 0, ("", "base"): 2, ("", "rds"): 2, ("", "like"): 2}
    before, after = (
        pq.read_table(r.folder.path / "ledger.parquet").slice(0, 60) for r in (first, more)
    )
    assert before["rds.score"].equals(after["rds.score"])


def test_another_run_shares_what_is_known_of_the_target(tmp_path, gpt2):
    select(config_of(tmp_path, gpt2), quiet())
    path = str(tmp_path / "sums.jsonl")
    fields = {
        "targets": {
            "other": {"path": path, "rows": [0, 5, 9]},
            "last": {"path": path, "rows": [19]},
        },
        "scorers": {"rds": {"use": "rds_plus", "target": ["other", "last"]}},
        "selector": [{"use": "round_robin", "by": "rds.by_target", "taken": "re_pop"}],
    }
    result = select(config_of(tmp_path, gpt2, name="two", **fields), quiet())
    found = steps(result)
    assert (found["other", "base"], found["last", "base"], found["", "base"]) == (0, 1, 0)
    ledger = pq.read_table(result.folder.path / "ledger.parquet").to_pylist()
    kept = sorted((r for r in ledger if r["outcome"] == "kept"), key=lambda row: row["rank"])
    assert [row["reason"].partition("[")[0] for row in kept] == ["query: other", "query: last"] * 6
    assert {row["reason"] for row in kept[1::2]} == {"query: last[0]"}
    own = [row for row in kept[::2] if row["rds.target"] == "other"]
    assert own and all(row["reason"] == f"query: other[{row['rds.query']}]" for row in own)
    assert kept[1]["row_id"] == 19


def test_scores_alone(tmp_path, gpt2):
    _, table = score(config_of(tmp_path, gpt2, selector=[], budget=None), quiet())
    assert {"rds.score", "rds.query", "like.target"} <= set(table.column_names)
    assert not list((tmp_path / "store").glob("rds_plus-*/by_query"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "targets.sums.subtask=data.kin",
            "targets.sums.subtask: no column data.kin; there are data.kind",
        ),
        ("targets.sums.rows=[99]", "targets.sums.rows: no row 99; there are 20"),
        (
            "signals.base.pooling=mean",
            "needs pooling: weighted_mean, but it is mean",
        ),
        ("selector={use: round_robin, by: rds.by_querry}", "rds makes no such column, but score"),
        ("selector={use: round_robin, by: rds.score}", "reads rds.score as list<"),
    ],
)
def test_mistakes_are_said(tmp_path, gpt2, change, message):
    made = config_of(tmp_path, gpt2).model_dump(mode="json")
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(made))
    with pytest.raises(UsageError, match=re.escape(message)):
        select(load(str(tmp_path / "c.yaml"), Overrides(sets=[change])), quiet())


def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path, gpt2):
    """Said before anything is read."""
    made = config_of(tmp_path, gpt2).model_dump(mode="json")
    made["scorers"]["rds"]["target"] = "gsm"
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(made))
    args = [TAMIS, "select", "c.yaml"]
    ended = subprocess.run(args, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    said = "scorers.rds aims at 'gsm', which is no target of the config; there are sums"
    assert ended.stderr == f"error: {said}\n"


def test_plan_shows_the_target(tmp_path, gpt2):
    made = config_of(tmp_path, gpt2).model_dump(mode="json")
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(made))

    def plan():
        return CliRunner().invoke(app, ["plan", str(tmp_path / "c.yaml")]).stdout

    assert "target sums" in (before := plan())
    assert "base of sums" in before
    assert before.count("not read yet") == 2
    select(config_of(tmp_path, gpt2), quiet())
    after = plan()
    assert "3 rows in, 0 rejected, 1 parts" in after
    assert "rds -> sums" in after
    assert "1/1" in after


def test_what_was_found_in_the_targets_is_found_again(tmp_path, gpt2):
    """The names in the ledger come from it, also where no score is missing."""
    first = select(config_of(tmp_path, gpt2), quiet())
    (state,) = (tmp_path / "store").glob("rds_plus-*/fitted.parquet")
    for name, damage in (("b", state.unlink), ("c", lambda: state.write_bytes(b"junk"))):
        damage()
        again = select(config_of(tmp_path, gpt2, name=name), quiet())
        found, expected = (
            (run.folder.path / "ledger.parquet").read_bytes() for run in (again, first)
        )
        assert found == expected


def test_a_row_of_a_target_without_a_vector_is_found_before_the_pool_is_worked_on(tmp_path, gpt2):
    long = {"instruction": "word " * 400, "output": "never reached", "kind": "z"}
    path = write_jsonl(tmp_path / "long.jsonl", [SUMS[0], long])
    config = config_of(
        tmp_path, gpt2, targets={"sums": {"path": str(path), "subtask": "data.kind"}}
    )
    with pytest.raises(UsageError, match=r"targets\.sums: row 1 has no base\.embedding"):
        select(config, quiet())
    folders = {path.name.partition("-")[0] for path in (tmp_path / "store").iterdir()}
    parts = list((tmp_path / "store").glob("forward-*/embedding/*.parquet"))
    assert "forward" in folders and len(parts) == 1  # the target's own
