import numpy as np
import pytest
from tamis.stages import measures
from tamis.stages.measures import Cosine, Distance, lengths_of

LINE = np.array([[3.0], [4.0], [6.0], [7.0]], np.float32)  # -2, -1, 1 and 2 from the mean
PLANE = np.array([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]], np.float32)
FIRST = np.array([0])


def test_cosines_by_hand():
    found = Cosine.of(PLANE).of_pairs(FIRST, np.array([[1, 2, 3, 0]]))
    assert found.dtype == np.float32
    assert found.tolist() == [[np.float32(0.6), 0, -1, 1]]


def test_distances_by_hand():
    measure = Distance.of(LINE)
    assert measure.of_pairs(FIRST, np.array([[1, 2, 3, 0]])).tolist() == [[-1, -3, -4, 0]]
    assert (measure.mean.tolist(), measure.scale) == ([5.0], 2.0)
    assert measure.vectors.tolist() == [[-1], [-0.5], [0.5], [1]]
    assert measure.lengths.tolist() == [1, 0.5, 0.5, 1]


def test_equal_vectors_have_the_cosine_1():
    vectors = np.random.default_rng(0).normal(size=(200, 33)).astype(np.float32)
    vectors[100:] = vectors[:100]
    pairs = Cosine.of(vectors).of_pairs(np.arange(100), np.arange(100, 200)[:, None])
    assert (pairs == 1).all()
    assert lengths_of(vectors) == pytest.approx(np.linalg.norm(vectors, axis=1))


@pytest.mark.parametrize("kind", [Cosine, Distance])
def test_a_pair_is_the_same_in_any_company(kind, monkeypatch):
    vectors = np.random.default_rng(0).normal(size=(50, 33)).astype(np.float32)
    every = np.tile(np.arange(50), (50, 1))
    whole = kind.of(vectors).of_pairs(np.arange(50), every)
    np.testing.assert_array_equal(whole, whole.T)
    monkeypatch.setattr(measures, "NUMBERS", 99)
    np.testing.assert_array_equal(kind.of(vectors).of_pairs(np.arange(50), every), whole)


def test_a_search_for_cosines_misses_what_rounding_hides():
    """8 sqrt(2) 2^-24 is 6.7e-7."""
    measure, last = Cosine.of(PLANE), np.array([0.5, 0.5, 0.5], np.float32)
    computed = np.array([0.5, 0.4999995, 0.499999], np.float32)
    assert measure.may_miss(np.arange(3), last, computed).tolist() == [True, True, False]


def test_a_search_for_distances_misses_what_rounding_hides():
    """From 3 to 4 and farther, as shares of 2: the bound is 8 2^-24 (2 + 0.5)^2 = 3e-6."""
    measure, last = Distance.of(LINE), np.full(3, -1, np.float32)
    computed = np.array([0.25, 0.250002, 0.250004], np.float32)
    assert measure.may_miss(np.zeros(3, int), last, computed).tolist() == [True, True, False]


@pytest.mark.parametrize("kind", [Cosine, Distance])
def test_who_may_be_among_the_nearest(kind):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(90, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[40:60] = vectors[5]
    measure, rows, places = kind.of(vectors), np.array([5, 7]), np.arange(5, 90)
    found = measure.of_all(rows, places, 3)
    nearness = measure.of_pairs(rows, np.tile(places, (2, 1)))
    third = np.sort(nearness, axis=1)[:, -4]  # the row itself is one of them
    np.testing.assert_array_equal(found, nearness >= third[:, None])
    assert found.sum(1).tolist() == [21, 4]


@pytest.mark.parametrize("unit", [1e-25, 1.0, 1e25])
def test_the_unit_of_distances_does_not_matter(unit):
    measure = Distance.of((LINE * unit).astype(np.float32))
    np.testing.assert_allclose(measure.vectors, Distance.of(LINE).vectors, rtol=1e-6)
    found = measure.of_pairs(FIRST, np.array([[1, 2]]))
    np.testing.assert_allclose(found, [[-unit, -3 * unit]], rtol=1e-6)
