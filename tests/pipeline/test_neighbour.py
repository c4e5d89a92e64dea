import numpy as np
import pytest
from tamis.errors import DataError
from tamis.pipeline.finished import open_run
from tamis.pipeline.neighbour import nearest_kept, text_of
from tamis.pipeline.row_search import line_of
from tamis.pipeline.run import select
from tamis.stages.text_likeness import METHOD
from tamis.tests.runs import quiet, run_config
from tamis.tests.tiny import write_jsonl

WORDS = ["red fish", "blue fish", "one bird", "two birds fly", "red fish swim"]
# angles in degrees; rows 0 and 5 have one content, row 6 no vector
ANGLES = [0, 80, 10, 25, 50, 0, None]


@pytest.fixture(scope="module")
def rows():
    texts = [*WORDS, WORDS[0], "red bird"]
    found = []
    for i, (text, angle) in enumerate(zip(texts, ANGLES, strict=True)):
        turn = None if angle is None else np.deg2rad(angle)
        vector = None if turn is None else [float(np.cos(turn)), float(np.sin(turn))]
        row = {"instruction": text, "output": "yes", "rating": 10 - i, "vector": vector}
        found.append(row)
    return found


def run_of(folder, rows, **fields):
    data = [{"name": "pool", "path": str(write_jsonl(folder / "rows.jsonl", rows))}]
    base = {
        "data": data,
        "part_rows": 2,
        "scorers": {"rated": {"use": "column", "column": "data.rating"}},
        "selector": [{"use": "top_k", "by": "rated.score"}],
        "budget": {"rows": 4},
    }
    return open_run(str(select(run_config(folder, **(base | fields)), quiet()).folder.path))


def near(run, row_id, text):
    return nearest_kept(run, line_of(run, row_id), text)


def test_by_words(tmp_path, rows):
    """Rows 0 to 3 are kept; `red fish swim` shares two words with the first of them."""
    run = run_of(tmp_path, rows)
    found = near(run, 4, text_of([{"content": "red fish swim"}]))
    assert (found.row_id, found.rank, found.by) == (0, 1, METHOD)
    assert found.text == "red fish" and 0 < found.cosine < 1


def test_no_word_in_common(tmp_path, rows):
    with pytest.raises(DataError, match="no kept row shares a word with it"):
        near(run_of(tmp_path, rows), 4, "\u05e9\u05dc\u05d5\u05dd")


def test_a_row_of_the_same_content_is_no_neighbour(tmp_path, rows):
    run = run_of(tmp_path, rows)
    assert near(run, 5, "red fish yes").row_id == 1  # not row 0, which says the same
    assert near(run, 0, "red fish yes").row_id == 1


def test_from_the_store_where_the_curated_folder_is_gone(tmp_path, rows):
    run = run_of(tmp_path, rows)
    before = near(run, 4, "red fish swim")
    (run.folder / "curated").rename(tmp_path / "elsewhere")
    assert near(run, 4, "red fish swim") == before
    (tmp_path / "store").rename(tmp_path / "gone")
    with pytest.raises(DataError, match="not in the store"):
        near(open_run(str(run.folder)), 4, "red fish swim")


def test_by_a_stored_embedding(tmp_path, rows):
    """The cosine is that of the angle between; a row without a vector is compared by its words."""
    signals = {"own": {"use": "embedding_column", "column": "data.vector"}}
    selector = [
        {"use": "top_k", "by": "rated.score", "rows": 6},
        {"use": "diverse_top_k", "by": "rated.score", "of": "own.embedding", "threshold": 0.99},
    ]
    run = run_of(tmp_path, rows, signals=signals, selector=selector)
    kept = run.kept["row_id"].to_pylist()
    assert kept == [0, 1, 3, 4] or kept == [0, 1, 2, 3]
    found = near(run, 5, "red fish")
    others = {row: abs(ANGLES[row] - ANGLES[5]) for row in kept if row != 0}
    nearest = min(others, key=others.get)
    assert (found.row_id, found.by) == (nearest, "own.embedding")
    assert found.cosine == pytest.approx(np.cos(np.deg2rad(others[nearest])), abs=2e-3)
    assert near(run, 6, "red bird").by == METHOD
    assert near(run, 6, None) is None


def test_nothing_else_is_kept(tmp_path, rows):
    run = run_of(tmp_path, rows, budget={"rows": 1})
    assert near(run, 0, "red fish") is None
