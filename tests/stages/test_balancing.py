import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from tamis.stages.balancing import balance
from tamis.stages.kmeans import members, nearest


def skewed(n, k, dim=6, seed=0):
    """Vectors around k centres, most of them around the first, and these centres."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(k, dim))
    owner = rng.choice(k, n, p=0.5 ** np.arange(1, k + 1) / (1 - 0.5**k))
    vectors = centres[owner] + 0.5 * rng.normal(size=(n, dim))
    return vectors.astype(np.float32), centres.astype(np.float32)


@pytest.mark.parametrize(("n", "k"), [(60, 5), (61, 4), (2000, 9), (1500, 1), (7, 7)])
def test_sizes_are_near_equal(n, k):
    vectors, centres = skewed(n, k)
    centroids, prices = balance(vectors, centres)
    sizes, _ = members(vectors, centroids, prices)
    assert np.abs(sizes - n / k).max() <= max(0.01 * n / k, 1 - 1e-9)
    if 1 < k < n:
        assert members(vectors, centres)[0].max() > 1.5 * n / k
    assert prices.mean() == pytest.approx(0, abs=1e-9)


def test_no_other_balanced_clusters_lie_nearer():
    """Against the exact assignment, with each centroid as often as it has places."""
    vectors, centres = skewed(60, 5)
    centroids, prices = balance(vectors, centres)
    labels, distances = nearest(vectors.astype(np.float64), centroids.astype(np.float64), prices)
    assert np.bincount(labels).tolist() == [12] * 5
    squares = np.square(vectors[:, None] - np.repeat(centroids, 12, axis=0)).sum(2)
    chosen = linear_sum_assignment(squares)
    assert float(np.square(distances).sum()) == pytest.approx(squares[chosen].sum(), rel=1e-5)


def test_copies_stay_together():
    vectors = np.array([[0.0]] * 8 + [[1.0], [2.0]], np.float32)
    centroids, prices = balance(vectors, np.array([[0.0], [1.5]], np.float32))
    assert sorted(members(vectors, centroids, prices)[0].tolist()) == [2, 8]


def test_spherical_centroids_keep_their_length():
    vectors, centres = skewed(300, 4)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    centroids, _ = balance(vectors, centres, spherical=True)
    assert np.linalg.norm(centroids, axis=1) == pytest.approx(1, abs=1e-6)


def test_is_the_same_again():
    vectors, centres = skewed(500, 6)
    first, second = balance(vectors, centres), balance(vectors, centres)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
