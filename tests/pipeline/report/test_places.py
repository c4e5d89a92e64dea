import numpy as np
import pytest
from tamis.pipeline.report import places
from tamis.pipeline.report.places import find_places, uncovered
from tamis.pipeline.report.sampling import draw_sample


def test_words_where_the_run_computed_no_vectors(run, beside):
    found = find_places(run, beside, draw_sample(run, beside))
    assert (len(found.pool), len(found.kept), len(found.random)) == (119, 20, 20)
    assert "TF-IDF" in found.of and 0 < found.share <= 1
    again = find_places(run, beside, draw_sample(run, beside))
    assert np.array_equal(found.points, again.points) and np.array_equal(found.pool, again.pool)


def test_rows_that_are_alike_lie_together():
    texts = ["red green blue"] * 5 + ["one two three"] * 5
    vectors = places._of_words(texts)
    points, _ = places._reduced(vectors, np.arange(10), np.ones(10, dtype=bool))
    assert np.allclose(points[:5], points[0]) and np.allclose(points[5:], points[5])
    assert np.linalg.norm(points[0] - points[5]) == pytest.approx(2**0.5, abs=1e-6)


def test_one_row_has_a_place():
    points, share = places._reduced(places._of_words(["alone"]), np.array([0]), np.array([True]))
    assert points.tolist() == [[0, 0]] and share == 0


def test_uncovered():
    points = np.array([[0.0, 0], [3, 4], [6, 8]])
    assert uncovered(points, np.array([1, 2]), np.array([0])) == 7.5
    assert uncovered(points, np.array([0, 1, 2]), np.array([0])) == 7.5  # not itself
    assert uncovered(points, np.array([0, 1]), np.array([0, 1])) == 0


def test_a_sample_that_lacks_the_choice_is_measured_as_fairly():
    """Of a large pool the kept rows may all lie beyond the sample that is measured."""
    points = np.random.default_rng(0).normal(size=(4_000, 8))
    rows = np.arange(1_000)
    within = uncovered(points, rows, np.arange(500))
    beyond = uncovered(points, rows, np.arange(3_500, 4_000))
    assert beyond == pytest.approx(within, rel=0.03)
