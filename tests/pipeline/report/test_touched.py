import pytest
from tamis.pipeline.finished import open_run
from tamis.pipeline.report.beside import put_beside
from tamis.pipeline.report.report import make_report
from tamis.pipeline.report.touched import TITLE, held_out_filters, touched
from tamis.pipeline.run import select
from tamis.tests.pipeline.report.conftest import HOSTILE
from tamis.tests.runs import quiet, run_config
from tamis.tests.tiny import alpaca, write_jsonl


@pytest.fixture(scope="module")
def contaminated(tmp_path_factory):
    """A run whose rows 7 and 20 are items 1 and 0 of a test set, with text of strangers in them."""
    folder = tmp_path_factory.mktemp("touched")
    rows = alpaca(30)
    for row in (7, 20):
        rows[row]["output"] = f"{HOSTILE[0]} one two three four five six seven eight nine {row}"
    write_jsonl(folder / "mine.jsonl", rows)
    write_jsonl(folder / "test.jsonl", [rows[20], rows[7], {"instruction": "x", "output": "y z"}])
    config = run_config(
        folder,
        data=[{"name": "pool", "path": str(folder / "mine.jsonl")}],
        targets={"exam": {"path": str(folder / "test.jsonl")}},
        filters={
            "held_out": {"use": "contamination", "target": "exam"},
            "code": {"use": "fuzzy_contamination", "target": "exam", "threshold": 1.0},
        },
        scorers={},
        signals={},
        selector=[{"use": "random"}],
    )
    return open_run(str(select(config, quiet()).folder.path))


def test_rows_and_items_side_by_side(contaminated):
    filters = held_out_filters(contaminated)
    assert list(filters) == ["held_out", "code"]
    shown = touched(contaminated, put_beside(contaminated), filters)
    html = shown.__html__()
    assert shown.findings[0].text == "2 rows hold 2 items of the test sets (held_out)."
    assert shown.findings[0].level == "minor"
    first = html.index("<tbody>")
    assert ">exam 1<" in html[first:] and ">exam 0<" in html[first:]
    assert "eight nine 7" in html and "eight nine 20" in html
    assert "<script>" not in html and "&lt;script&gt;" in html


def test_it_is_part_of_the_page(contaminated):
    assert f"<h2>{TITLE}</h2>" in make_report(contaminated)


def test_only_where_such_a_filter_ran(run):
    assert held_out_filters(run) == {}
