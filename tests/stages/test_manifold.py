import numpy as np
import pytest
from tamis.errors import DataError
from tamis.stages.manifold import Manifold

FORMS = ["exact", "by_landmarks", "by_graph"]


def groups(n=300, spread=0.3, seed=0):
    rng = np.random.default_rng(seed)
    vectors = np.eye(8)[rng.integers(0, 8, n)] + spread * rng.normal(size=(n, 8))
    return vectors.astype(np.float32)


def manifold(sigma="median", **fields):
    return Manifold("clusters", sigma, **({"neighbours": 10, "seed": 0, "memory_mb": 64} | fields))


def leading(mapped, n=6):
    """An orthonormal base of what the leading coordinates span."""
    return np.linalg.qr(mapped.spectrum.vectors[:, 1 : n + 1])[0]


@pytest.mark.parametrize("sigma", ["median", "neighbours", 0.7])
def test_with_all_points_for_landmarks_it_is_the_exact_form(sigma):
    vectors = groups(120)
    exact, mapped = manifold(sigma).exact(vectors, 6), manifold(sigma).by_landmarks(vectors, 6)
    assert mapped.columns == 120
    np.testing.assert_allclose(mapped.spectrum.values, exact.spectrum.values, atol=1e-6)
    np.testing.assert_allclose(mapped.spectrum.vectors, exact.spectrum.vectors, atol=1e-4)


def test_few_landmarks_say_what_all_say(monkeypatch):
    """The graph, of each point's neighbours, does not."""
    monkeypatch.setattr("tamis.stages.manifold.LANDMARKS", 100)
    vectors, whole = groups(900), manifold()
    base = leading(whole.exact(vectors, 6))
    mapped = whole.by_landmarks(vectors, 6)
    assert mapped.columns == 100
    cosines = np.linalg.svd(base.T @ leading(mapped), compute_uv=False)
    assert cosines.min() > 0.995
    graph = np.linalg.svd(base.T @ leading(whole.by_graph(vectors, 6)), compute_uv=False)
    assert graph.min() < cosines.min()


def test_as_many_landmarks_as_clusters_need(monkeypatch):
    monkeypatch.setattr("tamis.stages.manifold.LANDMARKS", 20)
    assert manifold().by_landmarks(groups(), 2).columns == 20
    assert manifold().by_landmarks(groups(), 6).columns == 48
    assert manifold().by_landmarks(groups(40), 6).columns == 40


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("spread", [0.3, 1e-4])
def test_threads_change_nothing(form, spread, monkeypatch):
    monkeypatch.setattr("tamis.stages.nearest.AT_ONCE", 50)
    vectors = groups(spread=spread)
    one, two = (
        getattr(manifold("neighbours", threads=threads), form)(vectors, 4) for threads in (1, 2)
    )
    np.testing.assert_array_equal(one.spectrum.vectors, two.spectrum.vectors)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sigma", [1e-200, 1e-4, 0.02])
def test_a_sigma_that_is_too_small(form, sigma):
    """Every affinity to another is 0, or nothing beside the 1 of a point to itself."""
    with pytest.raises(DataError, match=rf"sigma of {sigma:g} most rows are .*nobody: .* 1\.742;"):
        getattr(manifold(sigma), form)(groups(), 4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sigma", [1e200, 1e9])
def test_a_sigma_that_is_too_large(form, sigma):
    with pytest.raises(DataError, match=r"all rows are alike: the median .*take a smaller sigma"):
        getattr(manifold(sigma), form)(groups(), 4)


@pytest.mark.parametrize("form", FORMS)
def test_all_the_same(form):
    with pytest.raises(DataError, match=r"clusters: sigma \(median\) is 0"):
        getattr(manifold(), form)(np.ones((30, 2), np.float32), 4)


def test_memory():
    """900 points: 5 matrices of 8 bytes, 31 MB; with landmarks 3 of 4 bytes, and 2 of the rank."""
    vectors = groups(900)
    with pytest.raises(
        DataError, match=r"all pairs of 900 rows take 31 MB, .* set memory_mb to 31"
    ):
        manifold(memory_mb=30).exact(vectors, 4)
    with pytest.raises(DataError, match=r"900 landmarks of 900 rows take 13 MB, .* is 12;"):
        manifold(memory_mb=12).by_landmarks(vectors, 4)
    assert manifold(memory_mb=13).by_landmarks(vectors, 4)
    assert manifold(memory_mb=1).by_graph(vectors, 4)
