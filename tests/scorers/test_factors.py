import logging
import warnings

import numpy as np
import pytest
from scipy import sparse
from tamis.scorers.factors import balanced, errors_of, factorise, similarities
from tamis.scorers.gain import best_of

SIZES = (20, 10, 15, 5)
OWNER = np.repeat(np.arange(4), SIZES)
BLOCKS = (OWNER[:, None] == OWNER).astype(float)


def partition(labels):
    return {frozenset(np.flatnonzero(labels == c).tolist()) for c in set(labels.tolist())}


def test_similarities_by_hand():
    z = np.array([[1.0, 2.0], [-2.0, 0.5], [0.0, -1.0]])
    assert similarities(z).tolist() == [[5.0, 1.0, 2.0], [1.0, 4.25, 0.5], [2.0, 0.5, 1.0]]
    assert similarities(z, signs="positive")[0].tolist() == [5.0, 0.0, 0.0]
    edges = sparse.csr_array(np.array([[1.0, 0, 0.2], [0, 1, 0], [0.2, 0, 1]]))
    found = similarities(z, edges).toarray()
    assert found.tolist() == [[5.0, 0, 2.0], [0, 4.25, 0], [2.0, 0, 1.0]]


def test_similarities_with_some_points_by_hand(monkeypatch):
    monkeypatch.setattr("tamis.scorers.factors.POINTS_AT_ONCE", 2)
    z = np.array([[1.0, 2.0], [-2.0, 0.5], [0.0, -1.0]])
    found = similarities(z, signs="positive", columns=2)
    assert (found.dtype, found.tolist()) == (np.float32, [[5, 0], [0, 4.25], [0, 0]])
    assert similarities(z, columns=2).tolist() == [[5, 1], [1, 4.25], [2, 0.5]]
    sums = np.array([6.0, 5.25, 2.5])
    expected = [[5, 1], [1, 4.25], [2, 0.5]] / np.sqrt(sums[:, None] * sums[:2])
    np.testing.assert_allclose(balanced(similarities(z, columns=2)), expected, rtol=1e-6)


def test_finds_blocks_by_some_of_their_points():
    order = np.random.default_rng(0).permutation(len(OWNER))
    tall = balanced(BLOCKS[order][:, order][:, :25].astype(np.float32))
    found = factorise(tall, 4, 0)
    assert partition(found.labels) == partition(OWNER[order])
    assert found.error < 0.01
    assert best_of(errors_of(tall, (2, 3, 4, 6, 8), 0), "blocks") == 4


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_finds_blocks(kind):
    found = factorise(kind(BLOCKS), 4, 0)
    assert partition(found.labels) == partition(OWNER)
    assert found.error < 0.01


def test_error_by_hand():
    """Blocks of 20, 10, 15 and 5 rows have the norms 20, 10, 15, 5: the largest are taken."""
    errors = errors_of(BLOCKS, (2, 3, 4, 6), 0)
    expected = [left / (400 + 100 + 225 + 25) for left in (350, 125, 25)]
    assert [errors[k] for k in (1, 2, 3)] == pytest.approx(expected, abs=2e-3)
    assert list(errors) == [1, 2, 3, 4, 6]


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_balanced_by_hand(kind):
    """Each row of a block of n sums up to n: what was 1 becomes 1 / n, and the block's value 1."""
    found = balanced(kind(3 * BLOCKS))
    dense = found if isinstance(found, np.ndarray) else found.toarray()
    np.testing.assert_allclose(dense, BLOCKS / np.array(SIZES)[OWNER])
    errors = errors_of(found, (2, 3, 4), 0)
    assert list(errors.values()) == pytest.approx([0.75, 0.5, 0.25, 0], abs=2e-3)
    assert balanced(kind(np.diag([4.0, 0.0])))[[0, 1], [0, 1]].tolist() == [1.0, 0.0]


def test_scaling_of_the_solver_does_not_matter():
    """H is compared with W put on one scale: both factors say the same of a symmetric matrix."""
    noisy = BLOCKS + 0.1 * np.abs(np.random.default_rng(0).normal(size=BLOCKS.shape))
    found = factorise((noisy + noisy.T) / 2, 4, 0)
    assert partition(found.labels) == partition(OWNER)


def test_busy_corners_of_a_graph_are_no_clusters():
    """Two graphs of 200 points with 10 edges each; in one of them twice 25 know each other."""
    owner, rng = np.repeat([0, 1], 200), np.random.default_rng(0)
    half = np.triu(rng.random((400, 400)) < 0.05) & (owner[:, None] == owner)
    edges = (half | half.T | np.eye(400, dtype=bool)).astype(float)
    edges[:25, :25] = edges[25:50, 25:50] = 1
    graph = sparse.csr_array(edges)
    assert partition(factorise(balanced(graph), 2, 0).labels) == partition(owner)
    assert partition(factorise(graph, 2, 0).labels) != partition(owner)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_the_unit_does_not_matter(kind):
    noisy = BLOCKS + 0.1 * np.abs(np.random.default_rng(0).normal(size=BLOCKS.shape))
    large, small = factorise(kind(noisy), 4, 0), factorise(kind(noisy * 2.0**-40), 4, 0)
    np.testing.assert_array_equal(large.labels, small.labels)
    assert small.error == pytest.approx(large.error)


def test_published_numbers():
    """As the published code has it: NMF from a random start, argmax of W as it is."""
    from sklearn.decomposition import NMF

    noisy = BLOCKS + 0.5 * np.abs(np.random.default_rng(0).normal(size=BLOCKS.shape))
    expected = NMF(4, init="random", random_state=3).fit_transform(noisy)
    np.testing.assert_array_equal(factorise(noisy, 4, 3, "random").weights, expected)


def test_gain_finds_the_blocks():
    assert best_of(errors_of(balanced(BLOCKS), (2, 3, 4, 6, 8), 0), "blocks") == 4


def test_says_when_it_is_not_settled(caplog, monkeypatch):
    monkeypatch.setattr("tamis.scorers.factors.ITERATIONS", 1)
    with caplog.at_level(logging.INFO):
        factorise(BLOCKS + 0.1, 3, 0)
    assert "3 factors: not settled after 1 iterations" in caplog.text


def test_threads_change_nothing():
    rng = np.random.default_rng(0)
    points = sparse.csr_array(np.triu(rng.random((60, 60)) * (rng.random((60, 60)) < 0.2)))
    similarity = sparse.csr_array(points + points.T + sparse.eye_array(60))
    before = list(warnings.filters)
    found = [errors_of(similarity, (2, 3, 5, 8), 0, threads) for threads in (1, 3)]
    assert found[0] == found[1]
    assert list(found[1]) == [1, 2, 3, 5, 8]
    assert warnings.filters == before
