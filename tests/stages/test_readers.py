import gzip
import json

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from tamis.errors import DataError
from tamis.stages import json_records, readers
from tamis.stages.readers import find_files, is_dataset_folder, read_file

ROWS = [{"a": i, "b": "é" * (i % 5), "c": None} for i in range(2500)]


def values(path, max_chars=10_000):
    return [record.value for record in read_file(path, max_chars)]


def errors(path, max_chars=10_000):
    return [(r.place, r.error) for r in read_file(path, max_chars) if r.error]


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def compress(data, suffix):
    if suffix == ".gz":
        return gzip.compress(data)
    return pa.Codec("zstd").compress(data, asbytes=True) if suffix == ".zst" else data


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", [".jsonl", ".ndjson", ".json"])
def test_json_lines(tmp_path, kind, suffix):
    path = tmp_path / f"x{kind}{suffix}"
    path.write_bytes(compress(lines(ROWS), suffix))
    assert values(path) == ROWS


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("indent", [None, 2])
def test_json_arrays_however_the_file_is_cut(tmp_path, monkeypatch, indent, suffix):
    monkeypatch.setattr(json_records, "CHUNK", 100)
    path = tmp_path / f"x.json{suffix}"
    path.write_bytes(compress(json.dumps(ROWS, indent=indent).encode(), suffix))
    assert values(path) == ROWS


@pytest.mark.parametrize("text", ["[]", " [ ] ", "[\n]\n", ""])
def test_empty_files(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    assert values(tmp_path / "x.json") == []


def test_arrays_of_bare_values(tmp_path, monkeypatch):
    monkeypatch.setattr(json_records, "CHUNK", 4)
    (tmp_path / "x.json").write_text('[1, 234567, true, null, "x", 12.5]')
    assert values(tmp_path / "x.json") == [1, 234567, True, None, "x", 12.5]


def test_a_byte_order_mark_is_not_content(tmp_path):
    for name, text in (("x.jsonl", '{"a": 1}\n'), ("x.json", '[{"a": 1}]'), ("x.csv", "a\n1\n")):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert [str(v["a"]) for v in values(tmp_path / name)] == ["1"]


def test_tables(tmp_path):
    table = pa.Table.from_pylist(ROWS)
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=700)
    pa.feather.write_feather(table, tmp_path / "x.feather")
    with pa.ipc.new_stream(tmp_path / "x.arrow", table.schema) as stream:
        stream.write_table(table, max_chunksize=600)
    for name in ("x.parquet", "x.feather", "x.arrow"):
        assert values(tmp_path / name) == ROWS


def test_csv_and_tsv(tmp_path):
    (tmp_path / "x.csv").write_text('a,b\n1,"x, ""y""\nz"\n\n2,\n', newline="")
    (tmp_path / "x.tsv").write_text("a\tb\n1\tx,y\n")
    assert values(tmp_path / "x.csv") == [{"a": "1", "b": 'x, "y"\nz'}, {"a": "2", "b": ""}]
    assert values(tmp_path / "x.tsv") == [{"a": "1", "b": "x,y"}]


class TestBroken:
    def test_lines(self, tmp_path):
        path = tmp_path / "x.jsonl"
        path.write_bytes(
            b'{"a": 1}\n{"a": \n\n{"a": "\xff"}\nnot json\n' + b"[" * 100_000 + b"\n" + b'{"a": 2}'
        )
        assert [v for v in values(path, 10**6) if v] == [{"a": 1}, {"a": 2}]
        found = dict(errors(path, 10**6))
        assert found[2].startswith("bad JSON: Expecting value")
        assert found[4] == "not UTF-8: at byte 8"
        assert found[5].startswith("bad JSON")
        assert found[6].startswith("bad JSON")
        assert set(found) == {2, 4, 5, 6}

    def test_a_line_too_long_for_memory(self, tmp_path):
        path = tmp_path / "x.jsonl"
        path.write_text('{"a": 1}\n{"a": "' + "x" * 5000 + '"}\n{"a": 2}\n')
        assert [v for v in values(path, 100) if v] == [{"a": 1}, {"a": 2}]
        assert errors(path, 100) == [(2, "too long: a line over 400 bytes")]

    def test_raw_text_is_shown_and_cut(self, tmp_path):
        path = tmp_path / "x.jsonl"
        path.write_bytes(b"\xff" + b"y" * 9000)
        (record,) = read_file(path, 10_000)
        assert record.raw == "\ufffd" + "y" * 1999

    @pytest.mark.parametrize("chunk", [20, 1 << 20])
    def test_an_array_that_breaks_off(self, tmp_path, monkeypatch, chunk):
        monkeypatch.setattr(json_records, "CHUNK", chunk)
        path = tmp_path / "x.json"
        for text in (
            '[{"a": 1}, {"a": 2}',
            '[{"a": 1}, {"a": 2}, {"a"',
            '[{"a": 1}, {"a": 2}, nul',
        ):
            path.write_text(text)
            assert values(path)[:2] == [{"a": 1}, {"a": 2}]
            ((place, reason),) = errors(path)
            assert place == 3
            assert reason.startswith("bad JSON")
            assert reason.endswith("nothing after it is read")

    def test_an_array_with_a_broken_middle(self, tmp_path):
        path = tmp_path / "x.json"
        path.write_text('[{"a": 1}, {"a" 2}, {"a": 3}]')
        assert values(path) == [{"a": 1}, None, {"a": 3}]
        assert "bad JSON" in errors(path)[0][1]

    def test_broken_utf8_in_an_array_stays_in_its_row(self, tmp_path):
        path = tmp_path / "x.json"
        path.write_bytes(b'[{"a": "\xff"}, {"a": "b"}]')
        first, second = values(path)
        with pytest.raises(UnicodeEncodeError):
            first["a"].encode()
        assert second == {"a": "b"}

    @pytest.mark.parametrize("name", ["x.jsonl.gz", "x.json.gz", "x.csv.gz"])
    def test_a_truncated_archive_gives_what_was_whole(self, tmp_path, name):
        path = tmp_path / name
        text = {"x.jsonl.gz": lines(ROWS), "x.json.gz": json.dumps(ROWS).encode()}.get(
            name, b"a,b,c\n" + b"".join(b"%d,x,y\n" % i for i in range(9000))
        )
        path.write_bytes(gzip.compress(text)[:-200])
        found = list(read_file(path, 10_000))
        assert sum(record.error is None for record in found) >= 0
        assert found[-1].error.startswith("file breaks off here")
        assert all(record.error is None for record in found[:-1])

    def test_csv(self, tmp_path):
        path = tmp_path / "x.csv"
        path.write_bytes(b'a,b\n1,2\n3\n4,5,6\n7,"\xff"\n')
        found = list(read_file(path, 1000))
        assert [record.error for record in found] == [
            None,
            "wrong number of fields: 1, the header has 2",
            "wrong number of fields: 3, the header has 2",
            None,
        ]
        assert found[1].raw == "3"

    @pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "x.feather"])
    def test_a_table_that_is_none_is_an_error(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"not a table at all")
        with pytest.raises(DataError, match=f"{name}: not a readable"):
            values(tmp_path / name)


class TestFindFiles:
    def test_folders_and_globs(self, tmp_path):
        (tmp_path / "sub").mkdir()
        for name in ("b.jsonl", "a.parquet", "sub/c.csv.gz", "README.md", "d.txt"):
            (tmp_path / name).touch()
        assert [p.name for p in find_files(tmp_path)] == ["a.parquet", "b.jsonl", "c.csv.gz"]
        assert [p.name for p in find_files(tmp_path / "*.jsonl")] == ["b.jsonl"]
        assert [p.name for p in find_files(tmp_path / "**" / "*.gz")] == ["c.csv.gz"]

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("gone", "no data there"),
            ("*.gone", "no data there"),
            ("x.txt", "unknown kind of file"),
            ("empty", "no data there"),
        ],
    )
    def test_nothing_to_read_is_said(self, tmp_path, path, message):
        (tmp_path / "x.txt").touch()
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match=message):
            find_files(tmp_path / path)


def test_dataset_folders(tmp_path):
    assert not is_dataset_folder(tmp_path)
    (tmp_path / "state.json").touch()
    assert is_dataset_folder(tmp_path)


def test_text_after_an_array_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(json_records, "CHUNK", 8)
    path = tmp_path / "x.json"
    path.write_text('[{"a": 1}]   \n\n          [{"a": 2}]')
    first, second = read_file(path, 100)
    assert first.value == {"a": 1}
    assert second.error == "bad JSON: text after the end of the array, which is not read"
    path.write_text('[{"a": 1}]   \n\n          ')
    assert len(list(read_file(path, 100))) == 1


def test_a_header_that_names_a_column_twice_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b,a\n1,2,3\n")
    with pytest.raises(DataError, match=r"x.csv.*names the column 'a' more than once"):
        list(read_file(path, 100))


def test_of_a_curated_dataset_the_rows_are_read_once(tmp_path):
    for name in ("data/train-0.parquet", "arrow/train/data-0.arrow", "train.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert len(readers.find_files(tmp_path)) == 3
    (tmp_path / "arrow/train/state.json").touch()
    assert readers.find_files(tmp_path) == [tmp_path / "data/train-0.parquet"]


def test_hidden_files_of_a_folder_are_left_alone(tmp_path):
    for name in ("a.jsonl", ".hidden.jsonl", ".ipynb_checkpoints/a.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_files(tmp_path) == [tmp_path / "a.jsonl"]


def test_packed_tables_are_no_known_kind(tmp_path):
    path = tmp_path / "x.arrow.gz"
    path.touch()
    with pytest.raises(DataError, match=r"unknown kind of file; .* the first 5 also as .gz"):
        find_files(path)


def test_columns_of_one_name_in_a_table_are_refused(tmp_path):
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    pa.feather.write_feather(table, str(tmp_path / "x.arrow"))
    with pytest.raises(DataError, match="names the column 'a' more than once"):
        values(tmp_path / "x.arrow")


def test_a_value_that_has_no_python_form_is_one_bad_row(tmp_path):
    days = pa.array([0, 10**7, 1], pa.date32())
    pq.write_table(pa.table({"day": days}), tmp_path / "x.parquet")
    found = list(read_file(tmp_path / "x.parquet", 100))
    assert [record.error is None for record in found] == [True, False, True]
    assert found[1].error.startswith("unreadable value: ")


def test_an_arrow_file_with_wrong_offsets_is_an_error_and_no_crash(tmp_path):
    text = pa.array(["abc"] * 4)
    offsets = pa.array([0, 3, 6, 2**31 - 10, 12], pa.int32()).buffers()[1]
    broken = pa.Array.from_buffers(pa.string(), 4, [None, offsets, text.buffers()[2]])
    path = tmp_path / "x.arrow"
    batch = pa.record_batch([broken], names=["a"])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as file:
        file.write_batch(batch)
    with pytest.raises(DataError, match=r"not a readable .arrow file"):
        values(path)
