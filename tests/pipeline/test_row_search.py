import json

import pytest
from tamis.errors import ArtifactError, ConfigError, DataError
from tamis.pipeline.finished import open_run
from tamis.pipeline.row_search import find_place, find_row, find_text, line_of
from tamis.pipeline.run import select
from tamis.tests.runs import quiet, run_config
from tamis.tests.tiny import alpaca, write_jsonl

STRANGE = {"instruction": "Say ÄPFEL now", "output": "Of course: apples (and pears)."}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A file whose second line is blank and third no row, and a folder of two files."""
    folder = tmp_path_factory.mktemp("search")
    rows = [*alpaca(12), STRANGE]
    texts = [json.dumps(row, ensure_ascii=False) for row in rows]
    texts[1:1] = ["", '{"instruction": "a broken äpfel line'.strip()]
    (folder / "a.jsonl").write_text("\n".join(texts) + "\n", "utf-8")
    (folder / "more").mkdir()
    write_jsonl(folder / "more" / "one.jsonl", alpaca(5, seed=1))
    write_jsonl(folder / "more" / "two.jsonl", alpaca(5, seed=2))
    return folder


@pytest.fixture(scope="module")
def run(folder):
    named = [("a", folder / "a.jsonl"), ("more", folder / "more")]
    entries = [{"name": name, "path": str(path)} for name, path in named]
    only = {"scorers": {"long": {"use": "length", "unit": "chars"}}, "part_rows": 4}
    return open_run(str(select(run_config(folder, 6, data=entries, **only), quiet()).folder.path))


def test_by_row_id(run):
    assert find_row(run, "7") == 7
    with pytest.raises(DataError, match="no row 24 in this run; there are 0 to 23"):
        find_row(run, "24")


def test_by_the_start_of_a_sample_id(run):
    sample_id = line_of(run, 9)["sample_id"]
    assert find_row(run, sample_id) == find_row(run, sample_id[:12]) == 9
    with pytest.raises(DataError, match="starts with 'ffff0000aaaa'"):
        find_row(run, "ffff0000aaaa")
    with pytest.raises(ConfigError, match="neither a row_id nor the start"):
        find_row(run, "apples")


def test_by_text_in_any_case(run):
    """Also of rejected rows; what looks like a pattern is none."""
    found = find_text(run, "äpfel", 10)
    assert [(own.row_id, own.outcome) for own in found] == [(13, "dropped"), (1, "rejected")]
    assert found[0].text == "Say ÄPFEL now"
    assert [own.row_id for own in find_text(run, "(AND PEARS).", 10)] == [13]
    assert find_text(run, "no such text", 10) == []
    with pytest.raises(ConfigError, match="needs a text"):
        find_text(run, " ", 10)


def test_no_more_than_asked_for(run):
    assert len(find_text(run, "a", 3)) == 3


def test_what_is_shown_is_around_the_text(run):
    (found,) = find_text(run, "apples", 10)
    assert found.text == "Of course: apples (and pears)."


@pytest.mark.parametrize(
    ("place", "row"),
    [("a:1", 0), ("a.jsonl:3", 1), ("a.jsonl:4", 2), ("more/two.jsonl:2", 20), ("one.jsonl:1", 14)],
)
def test_by_place(run, folder, place, row):
    """Lines are counted as an editor does: a blank one is one, though no row."""
    assert find_place(run, place) == row
    name, _, line = place.partition(":")
    if name == "a.jsonl":
        assert find_place(run, f"{folder}/a.jsonl:{line}") == row


@pytest.mark.parametrize(
    ("place", "error", "says"),
    [
        ("a.jsonl", ConfigError, "not FILE:LINE"),
        ("a.jsonl:x", ConfigError, "not FILE:LINE"),
        ("b.jsonl:1", ConfigError, "no file of this run; there are .*a.jsonl"),
        ("more:1", ConfigError, "no file of this run"),
        ("a.jsonl:2", DataError, "no record starts at line 2"),
        ("a.jsonl:99", DataError, "no record starts at line 99"),
    ],
)
def test_no_such_place(run, place, error, says):
    with pytest.raises(error, match=says):
        find_place(run, place)


def test_a_file_that_changed_since(tmp_path):
    config = run_config(tmp_path)
    run = open_run(str(select(config, quiet()).folder.path))
    assert find_place(run, "pool-60.jsonl:4") == 3
    path = tmp_path / "pool-60.jsonl"
    path.write_text("\n".join(reversed(path.read_text().splitlines())))
    with pytest.raises(DataError, match="another row there now"):
        find_place(run, "pool-60.jsonl:4")


def test_a_damaged_ledger(tmp_path):
    run = open_run(str(select(run_config(tmp_path), quiet()).folder.path))
    (run.folder / "ledger.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ArtifactError, match=r"ledger\.parquet"):
        line_of(run, 1)
