import itertools
import json
import random
import tracemalloc

import pyarrow as pa
import pytest
from tamis.errors import DataError
from tamis.stages.formats import Conversation
from tamis.stages.ingest import (
    ingest,
    part_hashes,
    rejected_table,
    rows_table,
    sample_id,
)
from tamis.stages.source import Source
from tamis.tests.tiny import alpaca, write_jsonl


def parts_of(*paths, part_rows=10, max_chars=1000, **fields):
    sources = [
        (Source(**{"name": f"s{i}", "path": str(path)} | fields), "")
        for i, path in enumerate(paths)
    ]
    return list(ingest(sources, part_rows=part_rows, max_chars=max_chars))


def test_a_limit_takes_the_first_records_of_each_source(tmp_path):
    paths = [tmp_path / f"{i}.jsonl" for i in range(2)]
    for path in paths:
        write_jsonl(path, alpaca(25))
    parts = parts_of(*paths, limit=7)
    assert [part.n for part in parts] == [10, 4]
    assert [row["source"] for part in parts for row in part.rows] == ["s0"] * 7 + ["s1"] * 7
    with pytest.raises(ValueError, match="greater than 0"):
        parts_of(*paths[:1], limit=0)


def test_positions_count_rejected_rows(tmp_path):
    rows = alpaca(25)
    rows[3]["output"], rows[12] = "", {"instruction": "x"}
    found = parts_of(write_jsonl(tmp_path / "x.jsonl", rows))
    assert [(part.first, part.n) for part in found] == [(0, 10), (10, 10), (20, 5)]
    assert [row["row_id"] for part in found for row in part.rejected] == [3, 12]
    positions = [part.first + row["position"] for part in found for row in part.rows]
    assert positions == [i for i in range(25) if i not in (3, 12)]


def test_rows_in_are_rows_out(tmp_path):
    """Whatever a file holds, each of its lines is a row or has a reason."""
    generator = random.Random(0)
    junk = [b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b'{"instruction": 1}', b"{}" * 3, b"nan"]
    good = [json.dumps(row).encode() for row in alpaca(200)]
    lines = [generator.choice(junk) if generator.random() < 0.3 else line for line in good]
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\n".join([good[0], *lines]))
    found = parts_of(path, part_rows=16)
    n_rows, n_rejected = (sum(len(getattr(p, k)) for p in found) for k in ("rows", "rejected"))
    assert n_rows + n_rejected == 201 == sum(part.n for part in found)
    assert all(row["reason"] and row["line"] for part in found for row in part.rejected)


def test_sources_of_different_shapes_make_one_pool(tmp_path):
    first = write_jsonl(tmp_path / "a.jsonl", alpaca(3))
    second = write_jsonl(tmp_path / "b.jsonl", [{"question": "q", "answer": "a"}])
    talk = [{"from": "human", "value": "h"}, {"from": "gpt", "value": "g"}]
    third = write_jsonl(tmp_path / "c.jsonl", [{"conversations": talk}])
    (part,) = parts_of(first, second, third)
    assert [row["source"] for row in part.rows] == ["s0", "s0", "s0", "s1", "s2"]


def test_appended_rows_change_only_the_last_part(tmp_path):
    rows = alpaca(35)
    before = parts_of(write_jsonl(tmp_path / "a.jsonl", rows[:25]))
    after = parts_of(write_jsonl(tmp_path / "b.jsonl", rows))
    hashes = [[part_hashes(part, 1) for part in parts] for parts in (before, after)]
    assert hashes[0][:2] == hashes[1][:2]
    assert hashes[0][2] not in hashes[1]


def test_a_part_is_its_content_not_its_place(tmp_path):
    rows = alpaca(10)
    first, second = parts_of(write_jsonl(tmp_path / "a.jsonl", rows + rows), part_rows=10)
    assert part_hashes(first, 1) == part_hashes(second, 1)
    assert first.first != second.first


def test_everything_in_a_row_is_in_the_hash(tmp_path):
    row = {"instruction": "a", "input": "b", "output": "c", "rating": 1}
    changes = [
        row,
        row | {"instruction": "x"},
        row | {"input": "x"},
        row | {"output": "x"},
        row | {"rating": 2},
        row | {"more": 1},
        {**row, "instruction": "a\nb", "input": ""},
    ]
    hashes = {
        part_hashes(*parts_of(write_jsonl(tmp_path / f"{i}.jsonl", [change])), 1)[1]
        for i, change in enumerate(changes)
    }
    assert len(hashes) == len(changes)


def test_the_hash_of_the_conversations_knows_nothing_else(tmp_path):
    row = {"instruction": "a", "output": "c"}
    path = write_jsonl(tmp_path / "a.jsonl", [row])
    rated = write_jsonl(tmp_path / "b.jsonl", [row | {"rating": 1}])
    found = [
        part_hashes(*parts_of(path), 1),
        part_hashes(*parts_of(rated), 1),
        part_hashes(*parts_of(path, name="other"), 1),
        part_hashes(*parts_of(path), 2),
    ]
    assert found[0][0] == found[1][0] == found[2][0] != found[3][0]
    assert len({whole for _, whole in found}) == 4


def test_equal_conversations_share_their_sample_id(tmp_path):
    row = {"instruction": "a", "output": "c"}
    (part,) = parts_of(write_jsonl(tmp_path / "x.jsonl", [row, row | {"rating": 1}]))
    assert part.rows[0]["sample_id"] == part.rows[1]["sample_id"]
    assert sample_id(Conversation([{"role": "user", "content": "a"}])) == (
        sample_id(Conversation([{"content": "a", "role": "user"}]))
    )


def test_tables_have_fixed_types_and_natural_other_columns(tmp_path):
    rows = alpaca(4)
    extra = [
        {"n": 1, "mix": 1, "deep": {"b": 1, "a": [2]}, "flag": True},
        {"n": 2.5, "mix": "x"},
        {"big": 2**70},
        {},
    ]
    (part,) = parts_of(
        write_jsonl(tmp_path / "x.jsonl", [a | b for a, b in zip(rows, extra, strict=True)])
    )
    table = rows_table(part)
    assert table["data.n"].to_pylist() == [1.0, 2.5, None, None]
    assert table["data.mix"].to_pylist() == ["1", "x", None, None]
    assert table["data.deep"][0].as_py() == '{"a": [2], "b": 1}'
    assert table["data.flag"].type == pa.bool_()
    assert table["data.big"][2].as_py() == str(2**70)
    assert table.schema.field("messages").type.value_type.names[:2] == ["role", "content"]


def test_broken_text_anywhere_rejects_only_its_row(tmp_path):
    path = tmp_path / "x.jsonl"
    good = '{"instruction": "a", "output": "b"}'
    path.write_text(
        f'{good}\n{{"instruction": "\\ud800", "output": "b"}}\n'
        f'{{"instruction": "a", "output": "b", "note": "\\udfff"}}\n{good}\n'
    )
    (part,) = parts_of(path)
    assert len(part.rows) == 2
    assert {row["reason"].partition(":")[0] for row in part.rejected} == {"not UTF-8"}
    rejected_table(part)
    rows_table(part)


def test_a_row_over_max_chars_is_rejected(tmp_path):
    rows = [{"instruction": "a", "output": "b" * n} for n in (999, 1000)]
    (part,) = parts_of(write_jsonl(tmp_path / "x.jsonl", rows))
    assert len(part.rows) == 1
    assert part.rejected[0]["reason"] == "too long: 1001 characters, max_chars is 1000"


def test_tools_and_tool_calls_count_towards_max_chars(tmp_path):
    answer = {"role": "assistant", "content": "", "tool_calls": [{"name": "x" * 990}]}
    turns = [{"role": "user", "content": "a"}, answer]
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rows = [{"messages": turns}, {"messages": said, "tools": [{"name": "x" * 990}]}]
    (part,) = parts_of(write_jsonl(tmp_path / "x.jsonl", rows))
    assert [row["reason"].partition(":")[0] for row in part.rejected] == ["too long"] * 2


def test_columns_named_by_hand(tmp_path):
    path = write_jsonl(tmp_path / "x.jsonl", [{"q": "a", "ctx": "c", "a": "b", "n": 1}])
    columns = {"instruction": "q", "input": "ctx", "answer": "a"}
    (part,) = parts_of(path, columns=columns)
    assert part.rows[0]["messages"][0]["content"] == "a\nc"
    assert part.rows[0]["other"] == {"n": 1}


def test_a_named_format_and_a_renamed_field(tmp_path):
    path = write_jsonl(tmp_path / "x.jsonl", [{"instruction": "a", "reply": "b"}])
    (part,) = parts_of(path, format="alpaca", columns={"answer": "reply"})
    assert part.rows[0]["messages"][1]["content"] == "b"


def test_an_optional_field_that_comes_late_is_still_read(tmp_path):
    rows = [{"instruction": "a", "output": "b"}] * 200
    rows.append({"instruction": "a", "input": "c", "output": "b"})
    found = parts_of(write_jsonl(tmp_path / "x.jsonl", rows), part_rows=1000)
    assert found[0].rows[-1]["messages"][0]["content"] == "a\nc"


def test_unknown_shapes_are_named_with_their_fields(tmp_path):
    path = write_jsonl(tmp_path / "x.jsonl", [{"text": "a", "label": 1}])
    with pytest.raises(DataError, match="rows with the fields text, label have no known shape"):
        parts_of(path)


def test_a_file_of_junk_is_an_error_but_some_junk_first_is_not(tmp_path, monkeypatch):
    path = tmp_path / "x.jsonl"
    path.write_text("junk\n" * 300 + '{"instruction": "a", "output": "b"}\n')
    found = parts_of(path, part_rows=1000)
    assert (len(found[0].rows), len(found[0].rejected)) == (1, 300)
    path.write_text("junk\n" * 10_001)
    with pytest.raises(DataError, match="none of the first 10000 rows is one"):
        parts_of(path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": "alpacca"}, "auto, messages, sharegpt"),
        ({"columns": {"instruction": "q"}}, "instruction and answer"),
        ({"columns": {"question": "q", "answer": "a"}}, "question"),
        ({"colums": {}}, "Extra inputs"),
    ],
)
def test_a_source_says_what_is_wrong(fields, message):
    with pytest.raises(ValueError, match=message):
        Source(name="x", path="y", **fields)


@pytest.mark.slow
def test_a_large_file_is_streamed(tmp_path):
    """Memory stays that of a part, not of the file."""
    path = tmp_path / "x.jsonl"
    row = json.dumps({"instruction": "a" * 400, "output": "b" * 600}) + "\n"
    with path.open("w") as file:
        for _ in range(30_000):
            file.write(row)  # 30 MB
    tracemalloc.start()
    source = (Source(name="x", path=str(path)), "")
    count = 0
    for part in ingest([source], part_rows=500, max_chars=10_000):
        count += len(part.rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 30_000
    assert peak < 8 << 20


def test_parts_do_not_depend_on_how_rows_are_spread_over_files(tmp_path):
    rows = alpaca(30)
    whole = parts_of(write_jsonl(tmp_path / "whole.jsonl", rows))
    (tmp_path / "folder").mkdir()
    for number, batch in enumerate(
        itertools.batched(rows, 7)
        if hasattr(itertools, "batched")
        else [rows[i : i + 7] for i in range(0, 30, 7)]
    ):
        write_jsonl(tmp_path / "folder" / f"{number}.jsonl", list(batch))
    spread = parts_of(tmp_path / "folder")
    assert [part_hashes(part, 1) for part in whole] == [part_hashes(part, 1) for part in spread]


def test_only_some_records(tmp_path):
    path = write_jsonl(tmp_path / "x.jsonl", alpaca(30))
    whole = [row["sample_id"] for part in parts_of(path) for row in part.rows]
    some = [row["sample_id"] for part in parts_of(path, rows=[28, 0, 7]) for row in part.rows]
    assert some == [whole[0], whole[7], whole[28]]
    with pytest.raises(DataError, match=r"data\.s0\.rows: no row 30; there are 30, the first is 0"):
        parts_of(path, rows=[1, 30])
