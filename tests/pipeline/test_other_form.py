import json

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from tamis.errors import ConfigError, DataError
from tamis.pipeline.finished import open_run
from tamis.pipeline.other_form import write_form
from tamis.pipeline.run import select
from tamis.stages.forms import CALL_IDS, FORMS, LAST_ANSWER
from tamis.tests.runs import quiet, run_config
from tamis.tests.tiny import mixed_rows, write_jsonl


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("forms")


@pytest.fixture(scope="module")
def run(folder):
    return open_run(str(select(run_config(folder), quiet()).folder.path))


@pytest.fixture(scope="module")
def mixed(folder):
    """One row with a tool, one with two answers, and plain ones, all kept."""
    path = write_jsonl(folder / "mixed.jsonl", mixed_rows())
    config = run_config(
        folder,
        name="mixed",
        data=[{"name": "mixed", "path": str(path)}],
        scorers={"long": {"use": "length", "unit": "chars"}},
        budget={"fraction": 1.0},
    )
    return open_run(str(select(config, quiet()).folder.path))


@pytest.mark.parametrize("form", FORMS)
def test_the_same_rows_in_both_kinds_of_file(run, tmp_path, form):
    lines = write_form(run, form, str(tmp_path / "lines"))
    table = write_form(run, form, str(tmp_path / "table"), "parquet")
    assert lines.n_rows == table.n_rows == 10
    assert lines.left_out == lines.notes == {}
    read = [json.loads(line) for line in lines.path.read_text("utf-8").splitlines()]
    assert read == pq.read_table(table.path).to_pylist()
    assert pq.read_schema(table.path).metadata is None
    loaded = load_dataset(str(tmp_path / "lines"), split="train", cache_dir=str(tmp_path / "c"))
    assert loaded.to_list() == read


def test_alpaca_is_what_was_read(run, folder, tmp_path):
    """Instruction and input come apart again as they stood in the input."""
    made = write_form(run, "alpaca", str(tmp_path / "a"))
    pool = [json.loads(line) for line in (folder / "pool-60.jsonl").read_text().splitlines()]
    kept = [pool[i] for i in run.kept["row_id"].to_pylist()]
    read = [json.loads(line) for line in made.path.read_text("utf-8").splitlines()]
    names = ("instruction", "input", "output")
    assert [{n: row[n] for n in names} for row in read] == [{n: r[n] for n in names} for r in kept]


def test_what_a_form_cannot_hold_is_named(mixed, tmp_path):
    made = write_form(mixed, "alpaca", str(tmp_path / "a"))
    assert made.n_rows == 3
    assert made.left_out == {"tools": [0], "several turns": [1]}
    facts = json.loads((tmp_path / "a" / "export.json").read_text())
    assert facts["left_out"] == {"tools": [0], "several turns": [1]}
    assert facts["run"] == mixed.manifest["fingerprint"]


def test_what_a_form_loses_is_counted(mixed, tmp_path):
    assert write_form(mixed, "prompt-completion", str(tmp_path / "p")).notes == {LAST_ANSWER: 2}
    made = write_form(mixed, "sharegpt", str(tmp_path / "s"))
    assert (made.n_rows, made.notes, made.left_out) == (5, {CALL_IDS: 1}, {})


def test_tools_are_objects_in_lines_and_text_in_tables(mixed, tmp_path):
    line = write_form(mixed, "messages", str(tmp_path / "l")).path.read_text().splitlines()[0]
    assert json.loads(line)["tools"][0]["function"]["name"] == "f"
    table = write_form(mixed, "messages", str(tmp_path / "t"), "parquet").path
    row = pq.read_table(table).to_pylist()[0]
    assert json.loads(row["tools"])[0]["function"]["name"] == "f"
    assert json.loads(row["messages"][1]["tool_calls"])[0]["id"] == "c"


def test_nothing_is_overwritten(run, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").touch()
    with pytest.raises(ConfigError, match="is there already, and nothing is overwritten"):
        write_form(run, "messages", str(tmp_path / "there"))
    with pytest.raises(ConfigError, match="is there already"):
        write_form(run, "messages", str(tmp_path / "there" / "mine"))


def test_a_form_that_holds_nothing_leaves_nothing(folder, tmp_path):
    turns = [{"role": r, "content": c} for r, c in (("user", "x"), ("assistant", "y")) * 2]
    path = write_jsonl(tmp_path / "turns.jsonl", [{"messages": turns}])
    config = run_config(
        tmp_path,
        data=[{"name": "turns", "path": str(path)}],
        scorers={"long": {"use": "length", "unit": "chars"}},
        budget={"rows": 1},
    )
    run = open_run(str(select(config, quiet()).folder.path))
    with pytest.raises(DataError, match="alpaca can hold none of the 1 kept rows: 1 x several"):
        write_form(run, "alpaca", str(tmp_path / "a"))
    assert list((tmp_path / "a").iterdir()) == []


def test_names_that_are_none(run, tmp_path):
    with pytest.raises(ConfigError, match="no form 'chatml'; there are messages, prompt-"):
        write_form(run, "chatml", str(tmp_path / "x"))
    with pytest.raises(ConfigError, match="no kind of file 'csv'; there are jsonl, parquet"):
        write_form(run, "messages", str(tmp_path / "x"), "csv")


def test_at_an_address(run, bucket):
    made = write_form(run, "sharegpt", f"{bucket}/forms")
    assert len(made.path.read_text().splitlines()) == 10
    with pytest.raises(ConfigError, match="is there already"):
        write_form(run, "sharegpt", f"{bucket}/forms")
