import numpy as np
import pytest
from tamis.stages.kmeans import Training, inertia, means, members, nearest

LINE = np.array([[1.0], [3.0], [-2.0], [-4.0]], np.float32)


def planted(k, each=50, dim=24, spread=0.03, seed=0):
    rng = np.random.default_rng(seed)
    owner = np.arange(k * each) % k
    return (np.eye(dim)[owner] + spread * rng.normal(size=(k * each, dim))).astype(np.float32)


def test_nearest_is_the_same_in_any_batch():
    rng = np.random.default_rng(0)
    vectors, centroids = rng.normal(size=(200, 33)), rng.normal(size=(9, 33))
    labels, distances = nearest(vectors, centroids)
    lengths = np.linalg.norm(vectors[:, None] - centroids, axis=2)
    np.testing.assert_array_equal(labels, lengths.argmin(1))
    np.testing.assert_allclose(distances, lengths.min(1), rtol=1e-6)
    for i in (0, 7, 199):
        one = nearest(vectors[i : i + 1], centroids)
        assert (one[0][0], one[1][0]) == (labels[i], distances[i])


def test_prices_by_hand():
    """From 0 and 4 a price of 8 on the second moves the border from 2 to 3."""
    vectors, centroids = np.array([[1.9], [2.1], [2.9], [3.1]]), np.array([[0.0], [4.0]])
    assert nearest(vectors, centroids)[0].tolist() == [0, 1, 1, 1]
    labels, distances = nearest(vectors, centroids, np.array([0.0, 8.0]))
    assert labels.tolist() == [0, 0, 0, 1]
    assert distances == pytest.approx([1.9, 2.1, 2.9, 0.9])
    assert nearest(vectors, centroids, np.array([-4.0, 4.0]))[0].tolist() == [0, 0, 0, 1]


def test_members_means_and_inertia_by_hand():
    centroids = np.array([[0.0], [-3.5], [99.0]], np.float32)
    sizes, sums = members(LINE, centroids)
    assert (sizes.tolist(), sums.tolist()) == ([2, 2, 0], [[4.0], [-6.0], [0.0]])
    assert means(centroids, sizes, sums, False).tolist() == [[2.0], [-3.0], [99.0]]
    assert means(centroids, sizes, sums, True).tolist() == [[1.0], [-1.0], [1.0]]
    assert inertia(LINE, np.array([[-0.5]], np.float32)) == 2 * 1.5**2 + 2 * 3.5**2
    assert inertia(LINE, np.array([[2.0], [-3.0]], np.float32)) == 4


@pytest.mark.parametrize("method", ["lloyd", "minibatch"])
@pytest.mark.parametrize("start", ["random", "plusplus"])
def test_by_hand(method, start):
    found = Training(method, start).centroids(LINE, 2)
    assert sorted(found.tolist()) == [[-3.0], [2.0]]


def test_a_start_far_apart_finds_all_of_many():
    """With ten clusters, chance hardly ever begins in each."""
    vectors = planted(10)
    best = inertia(vectors, Training(start="plusplus").centroids(vectors, 10))
    assert best < 1.5 * len(vectors) * 24 * 0.03**2
    by_chance = [inertia(vectors, Training(seed=i).centroids(vectors, 10)) for i in range(5)]
    assert min(by_chance) > 2 * best


def test_the_best_of_all_starts_is_kept(monkeypatch):
    vectors = planted(12, each=20, spread=0.2)
    training = Training(start="plusplus")
    one = [
        inertia(vectors, training._settled(vectors, training._from(vectors, 6, seed)))
        for seed in range(4)
    ]
    assert inertia(vectors, training.centroids(vectors, 6)) == min(one) < max(one)


def test_minibatch_is_scikit_learns():
    from sklearn.cluster import MiniBatchKMeans

    vectors = planted(12, each=200, spread=0.2)
    model = MiniBatchKMeans(
        6, init="random", n_init=1, max_iter=9, batch_size=1024, random_state=3
    ).fit(vectors)
    expected = means(model.cluster_centers_, *members(vectors, model.cluster_centers_), False)
    found = Training("minibatch", "random", iterations=9, seed=3).centroids(vectors, 6)
    np.testing.assert_allclose(found, expected, atol=1e-6)
