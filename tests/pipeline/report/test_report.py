"""The whole page: of ordinary runs, and of those that lack something."""

import json
import logging
import shutil

import pytest
from tamis.pipeline.config import Config
from tamis.pipeline.finished import open_run
from tamis.pipeline.report import report
from tamis.pipeline.report.report import make_report, write_report
from tamis.pipeline.run import select
from tamis.tests.pipeline.report.conftest import report_config
from tamis.tests.runs import digest, quiet

CHAPTERS = (
    "In short",
    "Where the rows went",
    "Scores and cuts",
    "What it is made of",
    "Map of the pool",
    "Rows to read",
    "Planted faults",
    "What it cost",
)


def test_every_chapter_and_the_same_bytes_again(run):
    page = make_report(run)
    places = [page.index(f"<h2>{title}</h2>") for title in CHAPTERS]
    assert places == sorted(places)
    assert "Not shown" not in page and "not shown" not in page
    assert make_report(open_run(str(run.folder))) == page
    assert page.count("<script") == 1


def test_without_its_store(made):
    run = made()
    shutil.rmtree(run.config.store)
    page = make_report(open_run(str(run.folder)))
    assert "Texts are not shown: the rows of this run are not in the store" in page
    assert "Lengths are not shown" in page and "Not shown: the rows of this run" in page
    assert page.count("<svg") == 4  # funnel, two scores, sources


@pytest.mark.slow
def test_all_of_ten_rows_kept(made):
    page = make_report(made(budget={"fraction": 1.0}, selector={"use": "random"}, labels=None))
    assert "<dd>119</dd>" in page and "Near misses (0 rows shown)" in page


def test_no_scorer_and_few_rows(tmp_path):
    (tmp_path / "p.jsonl").write_text(
        "".join(json.dumps({"instruction": f"q{i}", "output": "a" * i}) + "\n" for i in range(3))
    )
    config = Config.model_validate(
        {
            "name": "few",
            "data": [{"name": "p", "path": str(tmp_path / "p.jsonl")}],
            "selector": {"use": "random"},
            "budget": {"rows": 1},
            "engine": {"kind": "local"},
            "store": str(tmp_path / "s"),
            "out": str(tmp_path / "runs"),
            "report": False,
        }
    )
    page = make_report(open_run(str(select(config, quiet()).folder.path)))
    assert "1 of 3 rows" in page and "Random choice (1 rows shown)" in page


def test_drawn_at_the_end_of_a_run_and_no_part_of_its_result(tmp_path):
    with_it = select(report_config(tmp_path, report=True, name="with"), quiet())
    without = select(report_config(tmp_path, name="without"), quiet())
    assert (with_it.folder.path / "report.html").is_file()
    assert not (without.folder.path / "report.html").exists()
    assert "report.html" not in with_it.manifest["files"]
    same = digest(with_it.folder.path)["ledger.parquet"]
    assert same == digest(without.folder.path)["ledger.parquet"]
    again = select(report_config(tmp_path, report=False, name="with"), quiet())
    assert again.was_done  # the key changes no result


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("odd")])
def test_a_failure_to_draw_does_not_lose_the_run(tmp_path, monkeypatch, caplog, error):
    def fail(run):
        raise error

    monkeypatch.setattr(report, "make_report", fail)
    with caplog.at_level(logging.WARNING):
        result = select(report_config(tmp_path, report=True), quiet())
    assert (result.folder.path / "manifest.json").is_file()
    assert f"its report was not drawn: {type(error).__name__}" in caplog.text
    assert "not drawn" in (result.folder.path / "log.jsonl").read_text()


@pytest.mark.slow
def test_at_an_address(tmp_path, bucket):
    config = report_config(tmp_path, report=True, out=f"{bucket}/runs", store=f"{bucket}/store")
    folder = select(config, quiet()).folder.path
    assert (folder / "report.html").read_text().startswith("<!doctype html>")


@pytest.mark.slow
def test_a_pool_of_ten_thousand_rows_stays_small(tmp_path):
    text = "word " * 400
    with (tmp_path / "p.jsonl").open("w") as file:
        for i in range(10_000):
            row = {"instruction": f"{i} {text}", "output": f"{text[: i % 2000]} {i}"}
            file.write(json.dumps(row) + "\n")
    config = report_config(
        tmp_path,
        data=[{"name": "p", "path": str(tmp_path / "p.jsonl")}],
        part_rows=1024,
        labels=None,
        budget={"fraction": 0.2},
        selector={"use": "top_k", "by": "long.score"},
        scorers={"long": {"use": "length", "unit": "chars"}},
    )
    path = write_report(open_run(str(select(config, quiet()).folder.path)))
    assert path.stat().st_size < 5_000_000
