import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tamis.errors import DataError
from tamis.pipeline.elsewhere import Reading, chosen_elsewhere
from tamis.pipeline.finished import open_run
from tamis.pipeline.run import select
from tamis.tests.runs import quiet, run_config
from tamis.tests.tiny import write_jsonl

ROWS = [
    {"instruction": "Add.\nTwice.", "input": "1 + 1\n2 + 2", "output": "2, 4"},
    {"instruction": "Name a word.", "output": "word"},
    {"instruction": "Sort.", "input": "b a", "output": "a b"},
    {"instruction": "Name a word.", "output": "word"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def run(folder):
    data = [{"name": "pool", "path": str(write_jsonl(folder / "pool.jsonl", ROWS))}]
    only = {"scorers": {"long": {"use": "length", "unit": "chars"}}, "budget": {"rows": 2}}
    return open_run(str(select(run_config(folder, data=data, **only), quiet()).folder.path))


def messages(row):
    text = row["instruction"] + (f"\n{row['input']}" if "input" in row else "")
    turns = [{"role": "user", "content": text}, {"role": "assistant", "content": row["output"]}]
    return {"messages": turns}


def test_the_same_rows_in_their_own_shape(folder, run):
    path = write_jsonl(
        folder / "some.jsonl", [ROWS[2], ROWS[1], {"instruction": "x", "output": ""}]
    )
    side, reading = chosen_elsewhere(str(path), run)
    assert reading == Reading(3, 1, 2)
    ledger = run.ledger.to_pylist()
    wanted = {ledger[1]["sample_id"], ledger[2]["sample_id"]}
    assert set(side.rows["sample_id"].to_pylist()) == wanted
    assert side.rows["source"].to_pylist() == ["pool", "pool"] and side.kept.all()
    assert sorted(side.kept_lengths().answer.tolist()) == [3, 4]


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
def test_messages_of_rows_that_had_an_input(folder, run, suffix):
    """Where the input began is found again, also after lines of the instruction."""
    rows = [messages(row) for row in ROWS]
    path = folder / f"messages.{suffix}"
    if suffix == "jsonl":
        write_jsonl(path, rows)
    elif suffix == "json":
        path.write_text(json.dumps(rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    side, reading = chosen_elsewhere(str(path), run)
    assert reading == Reading(4, 0, 4)
    assert len(side.rows) == 3  # two rows are one content
    assert set(side.rows["sample_id"].to_pylist()) == set(run.ledger["sample_id"].to_pylist())


@pytest.mark.parametrize("place", ["", "train.jsonl", "arrow/train", "data"])
def test_a_curated_folder_in_all_its_forms(run, place):
    side, reading = chosen_elsewhere(str(run.folder / "curated" / place), run)
    assert reading.n_matched == reading.n == 2
    assert set(side.rows["sample_id"].to_pylist()) == set(run.kept["sample_id"].to_pylist())


def test_rows_with_an_input_against_a_pool_of_messages(tmp_path):
    data = write_jsonl(tmp_path / "pool.jsonl", [messages(row) for row in ROWS])
    only = {"scorers": {"long": {"use": "length", "unit": "chars"}}, "budget": {"rows": 2}}
    config = run_config(tmp_path, data=[{"name": "pool", "path": str(data)}], **only)
    run = open_run(str(select(config, quiet()).folder.path))
    path = write_jsonl(tmp_path / "alpaca.jsonl", ROWS[:3])
    assert chosen_elsewhere(str(path), run)[1] == Reading(3, 0, 3)


def test_a_space_makes_another_row(folder, run):
    row = ROWS[1] | {"output": "word "}
    path = write_jsonl(folder / "space.jsonl", [row, ROWS[2]])
    assert chosen_elsewhere(str(path), run)[1] == Reading(2, 0, 1)
    path = write_jsonl(folder / "none.jsonl", [row])
    with pytest.raises(DataError, match=r"none of the 1 rows of .* is among the 4 of the run"):
        chosen_elsewhere(str(path), run)


def test_nothing_usable(folder, run):
    path = write_jsonl(folder / "empty.jsonl", [{"instruction": "x", "output": ""}])
    with pytest.raises(DataError, match="no usable row among 1"):
        chosen_elsewhere(str(path), run)
    with pytest.raises(DataError):
        chosen_elsewhere(str(folder / "nothing*.jsonl"), run)
