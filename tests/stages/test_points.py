import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError
from tamis.scorers.features import Features
from tamis.stages.points import Points, places_of


def rows(ids, vectors, status=None):
    fine = ["ok"] * len(ids)
    return pa.table(
        {
            "sample_id": pa.array(ids, pa.string()),
            "e.embedding": pa.array(vectors, pa.list_(pa.float32())),
            "e.given.status": status or fine,
            "e.status": fine,
        }
    )


def points(**fields):
    return Points(Features("e.embedding", unit=False), **fields)


def found(stage, *tables):
    placed = stage.placed(tables)
    return placed.ids.to_pylist(), placed.of_rows.tolist(), stage.gathered(tables, placed).tolist()


def test_by_hand():
    """b twice, with vectors that differ; c has none, d could not be computed."""
    one = rows(["d", "b", "a"], [[9, 9], [1, 2], [0, 5]], ["not_finite", "ok", "ok"])
    two = rows(["c", "b"], [None, [1, 1]])
    expected = [[0, 5], [1, 1]]
    assert found(points(), one, two) == (["a", "b"], [1, 0, 1], expected)
    assert found(points(), two, one) == (["a", "b"], [1, 1, 0], expected)


def test_length_1():
    vectors = found(points(unit=True), rows(["a", "b", "c"], [[3, 4], [0, 0], [0, 9]]))[2]
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0, 1]])


def test_nobody():
    assert found(points()) == ([], [], [])
    assert found(points(), rows(["a"], [None])) == ([], [], [])


def test_vectors_of_two_lengths():
    with pytest.raises(ContractError, match="vectors of 3 and of 2 numbers"):
        points().placed([rows(["a"], [[1, 0]]), rows(["b"], [[1, 0, 0]])])


def test_places_of_rows():
    ids = pa.array(["a", "c", "d"])
    assert places_of(pa.chunked_array([["d", "b"], ["a", "e"]]), ids).tolist() == [2, -1, 0, -1]
    assert places_of(pa.chunked_array([["a"]]), ids.slice(0, 0)).tolist() == [-1]
