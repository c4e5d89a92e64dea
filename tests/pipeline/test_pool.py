import json

import pytest
from datasets import Dataset
from tamis.errors import DataError
from tamis.pipeline.config import Config
from tamis.pipeline.pool import find_pool, peek_pool, pool_key, read_pool, rejected_rows
from tamis.pipeline.sources import pin_sources
from tamis.pipeline.store import Store
from tamis.tests.tiny import alpaca, write_jsonl


def config(*paths, **fields):
    data = [{"name": f"s{i}", "path": str(path)} for i, path in enumerate(paths)]
    return Config.model_validate({"name": "x", "data": data, "part_rows": 10} | fields)


def read(made, store):
    return read_pool(made, store, pool_key(made), lambda n: None)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_read_once(tmp_path, store):
    rows = alpaca(25)
    rows[4]["output"] = ""
    made = config(write_jsonl(tmp_path / "a.jsonl", rows))
    assert find_pool(store, pool_key(made)) is None
    pool = read(made, store)
    assert (pool.n_input, pool.n_rows, pool.n_rejected) == (25, 24, 1)
    assert pool.rejected == {"empty answer": 1}
    assert [part.n_rows for part in pool.parts] == [9, 10, 5]
    assert find_pool(store, pool_key(made)) == pool


def test_the_key_is_content_and_shape_not_place(tmp_path):
    rows = alpaca(5)
    first = config(write_jsonl(tmp_path / "a.jsonl", rows))
    second = config(write_jsonl(tmp_path / "b.jsonl", rows))
    assert pool_key(first) == pool_key(second)
    changed = config(write_jsonl(tmp_path / "c.jsonl", rows[:4]))
    cut = config(tmp_path / "a.jsonl", part_rows=3)
    assert len({pool_key(c) for c in (first, changed, cut)}) == 3
    key = pool_key(first)
    write_jsonl(tmp_path / "a.jsonl", alpaca(5, seed=9))  # same path, other content
    assert pool_key(first) != key


def test_appended_rows_write_only_the_last_part(tmp_path, store):
    read(config(write_jsonl(tmp_path / "a.jsonl", alpaca(25))), store)
    before = {path.name for path in (store.root / "rows").iterdir()}
    read(config(write_jsonl(tmp_path / "b.jsonl", alpaca(30))), store)
    after = {path.name for path in (store.root / "rows").iterdir()}
    assert len(after - before) == 1


def test_a_pool_whose_rows_are_gone_is_read_again(tmp_path, store):
    made = config(write_jsonl(tmp_path / "a.jsonl", alpaca(5)))
    pool = read(made, store)
    (store.root / "rows" / f"{pool.parts[0].rows}.parquet").unlink()
    assert find_pool(store, pool.key) is None
    assert read(made, store) == pool


def test_a_damaged_record_is_named_and_read_again(tmp_path, store, caplog):
    made = config(write_jsonl(tmp_path / "a.jsonl", alpaca(5)))
    pool = read(made, store)
    for text in ("{", "{}", "[]"):
        (store.root / "pools" / pool.key / "pool.json").write_text(text)
        assert find_pool(store, pool.key) is None
    assert "pool.json is damaged" in caplog.text


def test_other_columns_are_known_with_a_type_for_all_parts(tmp_path, store):
    rows = alpaca(25)
    for i, row in enumerate(rows):
        row |= {"n": i if i < 10 else i / 2, "mix": i if i < 20 else "x", "all": "y"}
    rows[0]["late"] = None
    pool = read(config(write_jsonl(tmp_path / "a.jsonl", rows)), store)
    assert pool.columns == {
        "data.n": "double",
        "data.mix": "string",
        "data.all": "string",
        "data.late": "null",
    }
    assert pool.extras == ()


def test_tools_are_noticed(tmp_path, store):
    messages = [
        {"role": "user", "content": "a", "name": "n"},
        {"role": "assistant", "content": "b"},
    ]
    path = write_jsonl(tmp_path / "a.jsonl", [{"messages": messages, "tools": [{"x": 1}]}])
    assert read(config(path), store).extras == ("name", "tools")


def test_rejected_rows_name_their_file_and_line(tmp_path, store):
    folder = tmp_path / "data"
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", alpaca(2))
    (folder / "b.jsonl").write_text('{"instruction": "q"}\n{broken\n')
    made = config(folder)
    found = rejected_rows(store, made, read(made, store)).to_pylist()
    assert [(row["row_id"], row["line"]) for row in found] == [(2, 1), (3, 2)]
    assert {row["file"] for row in found} == {str(folder / "b.jsonl")}
    assert found[0]["raw"] == '{"instruction": "q"}'
    assert found[1]["reason"].startswith("bad JSON")


def test_strict_makes_a_bad_row_an_error(tmp_path, store):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(alpaca(1)[0]) + "\n{broken\n")
    with pytest.raises(DataError, match=r"a\.jsonl, line 2: bad JSON.*strict is on"):
        read(config(path, strict=True), store)


@pytest.mark.parametrize("text", ["", "\n\n", '{"instruction": "a", "output": ""}\n'])
def test_no_usable_row_is_an_error(tmp_path, store, text):
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match="no usable row"):
        read(config(path), store)


def test_peek_knows_the_columns_before_anything_is_read(tmp_path):
    rows = [row | {"rating": 3} for row in alpaca(25)]
    made = config(write_jsonl(tmp_path / "a.jsonl", rows))
    found = peek_pool(made, pool_key(made))
    assert (found.parts, found.columns) == ((), {"data.rating": "int64"})


def test_a_datasets_folder(tmp_path, store):
    Dataset.from_list(alpaca(12)).save_to_disk(tmp_path / "set")
    made = pin_sources(config(tmp_path / "set"))
    assert read(made, store).n_rows == 12
