import numpy as np
import pytest
from tamis.stages.edges import graph, nearest
from tamis.stages.measures import Distance


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
    np.testing.assert_allclose(distances, np.sort(whole, 1)[:, :5], rtol=1e-7)
    again = nearest(vectors, 5, threads=2)
    np.testing.assert_array_equal(places, again[0])
    np.testing.assert_array_equal(distances, again[1])


@pytest.mark.parametrize("common", [0.0, 30.0])
@pytest.mark.parametrize("spread", [1e-3, 1e-4, 1e-5])
def test_near_copies_and_a_common_mean(common, spread):
    """fp32 products of such vectors tell nothing of who is nearer."""
    rng = np.random.default_rng(0)
    groups = rng.normal(size=(5, 16))[rng.integers(0, 5, 400)]
    vectors = (common + groups + spread * rng.normal(size=groups.shape)).astype(np.float32)
    whole = np.linalg.norm(vectors[:, None].astype(float) - vectors, axis=2)
    np.fill_diagonal(whole, np.inf)
    places, distances = nearest(vectors, 9)
    np.testing.assert_allclose(distances, np.sort(whole, 1)[:, :9], rtol=1e-7)
    np.testing.assert_array_equal(distances, np.take_along_axis(whole, places, 1).astype("f"))
    again = nearest(vectors, 9, threads=2)
    np.testing.assert_array_equal(places, again[0])


def test_copies_are_neighbours_in_order():
    points = np.array([[1.0], [2.0], [1.0], [1.0]], np.float32)
    places, distances = nearest(points, 2)
    assert places.tolist() == [[2, 3], [0, 2], [0, 3], [0, 2]]
    assert distances[0].tolist() == [0, 0]


def test_copies_are_looked_for_as_one(monkeypatch):
    """Among many rows with one vector nothing would tell the nearest but to compare with all."""

    def fails(*_):
        raise AssertionError("was compared with all")

    vectors = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    vectors[50:200] = vectors[0]
    expected = nearest(vectors, 5)
    monkeypatch.setattr(Distance, "of_all", fails)
    np.testing.assert_array_equal(nearest(vectors, 5)[0], expected[0])


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
