import pyarrow as pa
import pytest
from tamis.errors import ArtifactError, ConfigError, DataError
from tamis.pipeline.finished import Finished, open_run
from tamis.pipeline.run import select
from tamis.tests.runs import quiet, run_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("finished")


@pytest.fixture(scope="module")
def run(folder):
    return open_run(str(select(run_config(folder), quiet()).folder.path))


def test_what_it_recorded(run):
    assert run.manifest["rows_kept"] == len(run.kept) == 10
    assert run.config.name == "run"
    assert run.scorers == ("long", "rated")
    assert len(run.ledger) == 60 and len(run.rejected) == 1


def test_a_line_of_the_ledger(run):
    assert run.line(3)["row_id"] == 3
    with pytest.raises(DataError, match="no row 60 in this run; there are 0 to 59"):
        run.line(60)


def test_rows_come_in_the_order_asked(run):
    """Also from several parts, and with computed columns beside them."""
    rows = run.rows([40, 3, 17], ["messages", "source", "data.rating", "length.answer_chars"])
    assert rows["row_id"].to_pylist() == [40, 3, 17]
    assert rows["data.rating"].to_pylist() == [40 % 7, 3, 17 % 7]
    answers = [row[-1]["content"] for row in rows["messages"].to_pylist()]
    assert rows["length.answer_chars"].to_pylist() == [len(answer) for answer in answers]
    assert run.rows([])["row_id"].to_pylist() == []


def test_of_kept_rows_only_their_parts_are_read(run, monkeypatch):
    read, store = [], type(run.store)
    own = store.read
    monkeypatch.setattr(
        store, "read", lambda self, part, c: read.append(part) or own(self, part, c)
    )
    found = pa.concat_tables(list(run.kept_tables(["data.rating"])))
    ids = run.kept["row_id"].to_pylist()
    assert found["row_id"].to_pylist() == ids
    assert found["data.rating"].to_pylist() == [row % 7 for row in ids]
    assert len(read) == len({row // 16 for row in ids})


def test_a_rejected_row_has_no_messages(run):
    with pytest.raises(DataError, match="row 5 is not among the usable rows"):
        run.rows([3, 5])


def test_whole_columns(run):
    table = pa.concat_tables(list(run.tables(["data.rating"])))
    assert table["row_id"].to_pylist() == [i for i in range(60) if i != 5]
    assert run.has_column("length.answer_chars") and run.has_column("data.rating")
    assert not run.has_column("base.embedding")


def test_a_column_that_nobody_made(run):
    with pytest.raises(DataError, match=r"no column base.embedding; it computed length\."):
        run.rows([1], ["base.embedding"])
    with pytest.raises(DataError, match="no column text; it computed"):
        run.rows([1], ["text"])


def test_a_run_of_before_columns_were_noted_says_so(run):
    older = Finished(run.folder)
    older.__dict__["manifest"] = {k: v for k, v in run.manifest.items() if k != "columns"}
    with pytest.raises(ConfigError, match="was made by an earlier version of Tamis"):
        older.rows([1])


def test_no_run(folder):
    with pytest.raises(ConfigError, match=r"not the folder of a finished run"):
        open_run(folder / "nothing")


def test_a_store_that_is_gone_or_damaged(tmp_path):
    run = open_run(str(select(run_config(tmp_path), quiet()).folder.path))
    (run.folder / "ledger.parquet").write_bytes(b"no parquet")
    with pytest.raises(ArtifactError, match="ledger"):
        _ = run.ledger
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="the rows of this run are not in the store"):
        run.rows([1])


def test_what_it_curated(run):
    assert run.curated["row_id"] == run.kept["row_id"].to_pylist()
    assert "60 rows in, 10 kept" in run._repr_html_()


def test_a_report_that_is_there_or_not(tmp_path):
    run = open_run(str(select(run_config(tmp_path), quiet()).folder.path))
    (run.folder / "report.html").unlink(missing_ok=True)
    assert "<title>run: what was chosen" in run.report().read_text()
    (run.folder / "report.html").write_text("<p>")
    assert run.report().read_text() == "<p>"
