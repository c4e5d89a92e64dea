import pyarrow as pa
import pytest
from tamis.pipeline.finished import open_run
from tamis.pipeline.run import select
from tamis.pipeline.sides import distinct, side_of, snippets
from tamis.tests.runs import quiet, run_config


@pytest.fixture(scope="module")
def side(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sides")
    return side_of(open_run(str(select(run_config(folder), quiet()).folder.path)), "one")


def test_a_run(side):
    """Rejected rows are on no side."""
    assert len(side.rows) == 59 and side.kept.sum() == 10
    assert side.scores == ("long.score", "rated.score")
    assert (side.order, side.budget) == ("long.score", "10 rows")


def test_a_content_counts_once_and_as_kept_if_it_ever_is():
    table = pa.table(
        {
            "sample_id": ["a", "b", "a", "b", "c"],
            "outcome": ["dropped", "dropped", "kept", "dropped", "kept"],
            "row_id": [0, 1, 2, 3, 4],
        }
    )
    assert distinct(table)["row_id"].to_pylist() == [1, 2, 4]
    assert distinct(table.slice(3))["row_id"].to_pylist() == [3, 4]
    assert distinct(table.slice(0, 0)).num_rows == 0


def test_lengths_of_the_kept_rows(side):
    """Characters, as the rows have them."""
    kept = side.run.kept["row_id"].to_pylist()
    rows = side.run.rows(kept)["messages"].to_pylist()
    found = side.kept_lengths()
    assert found.instruction.tolist() == [len(row[0]["content"]) for row in rows]
    assert found.answer.tolist() == [len(row[1]["content"]) for row in rows]


def test_how_a_row_begins(side):
    rows = side.run.rows([9, 2])["messages"].to_pylist()
    assert list(snippets(side, [9, 2])) == [row[0]["content"] for row in rows]
