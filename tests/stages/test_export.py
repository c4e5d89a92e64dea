import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset, load_from_disk
from tamis.stages import export
from tamis.stages.base import MESSAGE
from tamis.stages.export import curated_schema, own_names, shape_rows, write_curated

CALL = '[{"function":{"arguments":"{}","name":"f"},"id":"1","type":"function"}]'
MESSAGES = [
    [{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": f"a{i} é🙂"}]
    for i in range(5)
]
TOOL_TURN = [
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": "", "tool_calls": CALL},
    {"role": "tool", "content": "42", "tool_call_id": "1"},
    {"role": "assistant", "content": "a"},
]


def pool(messages, **others):
    n = len(messages)
    columns = {
        "messages": pa.array(messages, pa.list_(MESSAGE)),
        "tools": pa.array([None] * n, pa.string()),
        "row_id": pa.array(range(n), pa.int64()),
        "sample_id": pa.array([f"{i:032x}" for i in range(n)]),
        "source": pa.array(["s"] * n),
        "rank": pa.array(range(n, 0, -1), pa.int64()),
        "ifd.score": pa.array([0.5] * n, pa.float32()),
    }
    return pa.table(columns | others)


def write(folder, rows, **kinds):
    extras = kinds.pop("extras", ())
    schema = curated_schema(["ifd.score"], kinds, extras)
    folder.mkdir()
    names = own_names(["ifd.score"], kinds)
    rows = rows.rename_columns([names.get(name, name) for name in rows.column_names])
    write_curated(folder, [shape_rows(rows, schema)], schema, len(rows), "f" * 16)
    return folder


def card(folder):
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n"
        "  - {split: train, path: data/train-*.parquet}\n---\n"
    )


def test_every_form_holds_the_same_rows(tmp_path):
    folder = write(tmp_path / "c", pool(MESSAGES))
    card(folder)
    hub = load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    disk = load_from_disk(str(folder / "arrow" / "train"))
    lines = [json.loads(line) for line in (folder / "train.jsonl").read_text("utf-8").splitlines()]
    assert hub.to_list() == disk.to_list()
    assert [row["messages"] for row in disk] == MESSAGES == [line["messages"] for line in lines]
    assert set(lines[0]) == {"messages"}
    assert disk.column_names == ["messages", "row_id", "sample_id", "source", "rank", "ifd.score"]


def test_files_carry_no_hugging_face_metadata_and_old_spellings(tmp_path):
    folder = write(tmp_path / "c", pool(MESSAGES))
    assert pq.read_schema(folder / "data/train-00000-of-00001.parquet").metadata is None
    with pa.ipc.open_stream(folder / "arrow/train/data-00000-of-00001.arrow") as stream:
        assert stream.schema.metadata is None
    info = json.loads((folder / "arrow/train/dataset_info.json").read_text())
    text = {"dtype": "string", "_type": "Value"}
    assert info["features"]["messages"] == [{"role": text, "content": text}]
    assert info["features"]["ifd.score"]["dtype"] == "float32"


def test_tools_and_tool_turns(tmp_path):
    tools = '[{"type":"function"}]'
    rows = pool([TOOL_TURN]).set_column(1, "tools", pa.array([tools]))
    folder = write(tmp_path / "c", rows, extras=("tools", "tool_calls", "tool_call_id"))
    (line,) = map(json.loads, (folder / "train.jsonl").read_text().splitlines())
    assert line["tools"] == json.loads(tools)
    assert line["messages"][1]["tool_calls"] == json.loads(CALL)
    assert line["messages"][2] == {"role": "tool", "content": "42", "tool_call_id": "1"}
    assert load_from_disk(str(folder / "arrow/train"))[0]["messages"][1]["tool_calls"] == CALL


def test_other_columns_keep_their_names_or_their_prefix(tmp_path):
    others = {
        "data.kind": pa.array(["x"] * 5),
        "data.rank": pa.array([1.5] * 5),
        "data.data.rank": pa.array([1, 2, None, 4, 5]),
        "data.data.kind": pa.array([True] * 5),
    }
    kinds = {name: str(values.type) for name, values in others.items()}
    folder = write(tmp_path / "c", pool(MESSAGES, **others), **kinds)
    disk = load_from_disk(str(folder / "arrow/train"))
    assert disk["kind"][0] == "x"
    assert disk["data.rank"][0] == 1.5
    assert list(disk["data.data.rank"]) == [1, 2, None, 4, 5]
    assert list(disk["data.kind"]) == [True] * 5


def test_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "SHARD_ROWS", 2)
    rows = pool(MESSAGES)
    schema = curated_schema(["ifd.score"], {}, ())
    folder = tmp_path / "c"
    folder.mkdir()
    tables = [shape_rows(rows.slice(0, 3), schema), shape_rows(rows.slice(3), schema)]
    write_curated(folder, tables, schema, 5, "f" * 16)
    names = sorted(path.name for path in (folder / "data").iterdir())
    assert names == [f"train-0000{i}-of-00003.parquet" for i in range(3)]
    assert [row["messages"] for row in load_from_disk(str(folder / "arrow/train"))] == MESSAGES


def test_the_same_bytes_however_the_tables_were_cut(tmp_path):
    rows, schema = pool(MESSAGES), curated_schema(["ifd.score"], {}, ())
    written = []
    for cuts in ([5], [1, 4], [2, 2, 1]):
        folder = tmp_path / "-".join(map(str, cuts))
        folder.mkdir()
        at, tables = 0, []
        for n in cuts:
            tables.append(shape_rows(rows.slice(at, n), schema))
            at += n
        write_curated(folder, tables, schema, 5, "f" * 16)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        written.append([path.read_bytes() for path in files])
    assert written[0] == written[1] == written[2]


def test_llamafactory_points_at_the_messages(tmp_path):
    folder = write(tmp_path / "c", pool(MESSAGES))
    entry = json.loads((folder / "llamafactory/dataset_info.json").read_text())["curated"]
    assert (folder / "llamafactory" / entry["file_name"]).resolve() == folder / "train.jsonl"
    assert entry["columns"] == {"messages": "messages"}


def test_llamafactory_has_its_own_rows_where_there_are_tools(tmp_path):
    """One row with a tool turn, and one whose call has text beside it, which it cannot hold."""
    beside = [TOOL_TURN[0], TOOL_TURN[1] | {"content": "see"}, *TOOL_TURN[2:]]
    rows = pool([TOOL_TURN, beside])
    extras = ("tools", "tool_calls", "tool_call_id")
    schema = curated_schema(["ifd.score"], {}, extras)
    (tmp_path / "c").mkdir()
    made = write_curated(tmp_path / "c", [shape_rows(rows, schema)], schema, 2, "f" * 16)
    assert made.several_answers == 2
    assert made.unfit == {"text beside a tool call": 1}
    folder = tmp_path / "c" / "llamafactory"
    entry = json.loads((folder / "dataset_info.json").read_text())["curated"]
    (line,) = (folder / entry["file_name"]).read_text().splitlines()
    turns = json.loads(line)[entry["columns"]["messages"]]
    assert [turn["from"] for turn in turns] == ["human", "function_call", "observation", "gpt"]
    assert "assistant_only_loss" in (tmp_path / "c/trainers/trl_sft.py").read_text()


def test_rows_of_a_slice(tmp_path):
    schema = curated_schema(["ifd.score"], {}, ())
    shaped = shape_rows(pool(MESSAGES).slice(2, 2), schema)
    assert shaped["messages"].to_pylist() == MESSAGES[2:4]


@pytest.mark.parametrize("n", [1])
def test_one_row(tmp_path, n):
    folder = write(tmp_path / "c", pool(MESSAGES[:n]))
    assert len(load_from_disk(str(folder / "arrow/train"))) == n
