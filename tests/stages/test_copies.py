import numpy as np
import pytest
from tamis.stages.copies import Copies
from tamis.stages.measures import Cosine, Distance
from tamis.stages.nearest import Found, nearest_of_all
from tamis.tests.stages.test_nearest import by_sorting, every, unit_rows

LETTERS = np.array([[1, 0], [0, 1], [1, 0], [2, 2], [0, 1], [1, 0]], np.float32)


def test_by_hand():
    copies = Copies.of(LETTERS)
    assert copies.first.tolist() == [0, 1, 3]
    assert copies.group.tolist() == [0, 1, 0, 2, 1, 0]
    assert copies.without(LETTERS.copy()).tolist() == [[1, 0], [0, 1], [2, 2]]


def test_spread_by_hand():
    """Nearest to each of three vectors is the next; 0 and 2 are equally near to 1."""
    found = Found(
        np.array([[1, 2], [0, 2], [1, 0]]), np.array([[0.5, 0.2], [0.5, 0.5], [0.5, 0.2]])
    )
    spread = Copies.of(LETTERS).spread(found, 1.0)
    assert spread.places.tolist() == [[2, 5], [4, 0], [0, 5], [1, 4], [1, 0], [0, 2]]
    assert spread.similarity.tolist() == [
        [1, 1],
        [1, 0.5],
        [1, 1],
        [0.5, 0.5],
        [1, 0.5],
        [1, 1],
    ]


def test_nobody_has_copies():
    found = Found(np.array([[1], [0]]), np.array([[0.5], [0.5]]))
    assert Copies.of(LETTERS[:2]).spread(found, 1.0) is found


@pytest.mark.parametrize("k", [1, 4, 30, 200])
def test_equals_a_search_among_all(k, monkeypatch):
    """Many copies of some, few of others, and a vector that rounding makes as near as a copy."""
    rng = np.random.default_rng(0)
    vectors = unit_rows(60)[rng.integers(0, 60, 150)]
    vectors[rng.permutation(150)[:50]] = vectors[3]
    vectors[77] = vectors[3] * np.float32(1 + 2e-7)
    places, cosine = by_sorting(vectors, k)
    monkeypatch.setattr("tamis.stages.copies.SPREAD_AT_ONCE", 5000)
    monkeypatch.setattr("tamis.stages.copies.ROWS_AT_ONCE", 7)
    copies = Copies.of(vectors)
    assert len(copies.first) < 60
    few = copies.without(vectors.copy())
    found = copies.spread(nearest_of_all(Cosine.of(few), every(few), k), 1.0)
    there = min(k, 149)
    np.testing.assert_array_equal(found.places[:, :there], places[:, :there])
    np.testing.assert_allclose(found.similarity[:, :there], cosine[:, :there], atol=1e-7)
    assert (found.places[:, there:] == -1).all()


def test_distances_too():
    vectors = np.repeat(unit_rows(40), 5, axis=0)
    copies = Copies.of(vectors)
    few = copies.without(vectors.copy())
    found = copies.spread(nearest_of_all(Distance.of(few), every(few), 6), 0.0)
    whole = nearest_of_all(Distance.of(vectors), every(vectors), 6)
    np.testing.assert_array_equal(found.places, whole.places)
    np.testing.assert_array_equal(found.similarity, whole.similarity)
