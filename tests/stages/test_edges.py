import numpy as np
import pytest
from tamis.stages.edges import graph, nearest


def test_by_hand():
    points = np.array([[0.0], [1.0], [3.0], [7.0]], np.float32)
    places, distances = nearest(points, 2)
    assert places.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    assert distances.tolist() == [[1, 3], [1, 2], [2, 3], [4, 6]]


def test_equals_the_plain_way():
    vectors = np.random.default_rng(0).normal(size=(700, 8)).astype(np.float32)
    whole = np.linalg.norm(vectors[:, None].astype(float) - vectors, axis=2)
    np.fill_diagonal(whole, np.inf)
    places, distances = nearest(vectors, 5)
    np.testing.assert_array_equal(places, whole.argsort(1, kind="stable")[:, :5])
    np.testing.assert_allclose(distances, np.sort(whole, 1)[:, :5])
    again = nearest(vectors, 5, threads=2)
    np.testing.assert_array_equal(places, again[0])
    np.testing.assert_array_equal(distances, again[1])


def test_copies_are_neighbours_in_order():
    points = np.array([[1.0], [2.0], [1.0], [1.0]], np.float32)
    places, distances = nearest(points, 2)
    assert places.tolist() == [[2, 3], [0, 2], [0, 3], [0, 2]]
    assert distances[0].tolist() == [0, 0]


@pytest.mark.parametrize("n", [1, 3])
def test_more_copies_than_candidates(n):
    points = np.zeros((40, 2), np.float32)
    places, distances = nearest(points, n)
    assert (places != np.arange(40)[:, None]).all()
    assert not distances.any()


def test_graph_by_hand():
    """3 has 2 near, which has not 3 near: there is an edge all the same."""
    places, _ = nearest(np.array([[0.0], [1.0], [3.0], [7.0]], np.float32), 1)
    values = np.array([[0.5], [0.5], [0.4], [0.3]])
    assert graph(places, values).toarray().tolist() == [
        [1, 0.5, 0, 0],
        [0.5, 1, 0.4, 0],
        [0, 0.4, 1, 0.3],
        [0, 0, 0.3, 1],
    ]
