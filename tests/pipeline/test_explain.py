import pytest
from tamis.errors import DataError
from tamis.pipeline.explain import explain
from tamis.pipeline.finished import open_run
from tamis.pipeline.run import select
from tamis.tests.end_to_end.test_targets import SUMS, config_of
from tamis.tests.runs import quiet, run_config
from tamis.tests.tiny import alpaca, write_jsonl


def run_of(config):
    return open_run(str(select(config, quiet()).folder.path))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A pool in which rows 3 and 60 are the same, and row 5 has no answer."""
    folder = tmp_path_factory.mktemp("explain")
    rows = alpaca(60)
    for i, row in enumerate(rows):
        row["rating"] = i % 7
    rows[5]["output"] = ""
    rows.append(dict(rows[3]))
    data = [{"name": "pool", "path": str(write_jsonl(folder / "rows.jsonl", rows))}]
    return run_of(run_config(folder, data=data))


def test_a_row(run):
    found = explain(run, 7)
    line = run.line(7)
    assert (found.run, found.row_id, found.source) == ("run", 7, "pool")
    assert (found.sample_id, found.outcome) == (line["sample_id"], line["outcome"])
    assert [message["role"] for message in found.messages] == ["user", "assistant"]
    assert set(found.messages[0]) == {"role", "content"}  # no empty fields
    long, rated = found.scores
    assert (long.scorer, long.score, long.status) == ("long", line["long.score"], "ok")
    assert rated.percentile == line["rated.percentile"]
    assert found.neighbour.row_id in run.kept["row_id"].to_pylist()
    assert found.missing == () and found.examples == ()
    assert found.as_json()["verdict"]["what"] == found.verdict.what


def test_rows_of_the_same_content(run):
    assert [twin.row_id for twin in explain(run, 3).twins] == [60]
    assert [twin.row_id for twin in explain(run, 60).twins] == [3]
    assert explain(run, 7).twins == ()


def test_a_rejected_row(run):
    found = explain(run, 5)
    assert found.outcome == "rejected" and found.messages is None and found.scores == ()
    assert found.rejected["line"] == 6 and found.rejected["file"].endswith("rows.jsonl")
    assert "instruction" in found.rejected["raw"]


def test_no_such_row(run):
    with pytest.raises(DataError, match="there are 0 to 60"):
        explain(run, 61)


def test_what_the_ledger_knows_without_a_store(tmp_path):
    run = run_of(run_config(tmp_path))
    (tmp_path / "store").rename(tmp_path / "gone")
    found = explain(open_run(str(run.folder)), 7)
    assert found.messages is None and found.neighbour is None
    assert found.verdict.why and found.scores
    assert len(found.missing) == 1 and found.missing[0].startswith("its text: ")


@pytest.mark.slow
def test_the_example_that_pulled_it_in(tmp_path, gpt2):
    """The target is rows 0, 5 and 9 of the sums; each of them is taken for itself."""
    run = run_of(config_of(tmp_path, gpt2))
    found = explain(run, 5)
    assert found.verdict.why == "it was taken for the example sums[1] of the target"
    taken, *others = found.examples
    assert (taken.target, taken.query) == ("sums", 1)
    assert taken.why.startswith("the row was taken for it and rds finds it the most alike")
    assert taken.messages[0]["content"] == SUMS[5]["instruction"]
    assert all(other.target == "sums" for other in others)
