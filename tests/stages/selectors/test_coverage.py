import numpy as np
import pytest
from tamis.stages.selectors import coverage
from tamis.stages.selectors.coverage import GraphCoverage, VectorCoverage, lazy_greedy
from tamis.stages.selectors.graph import read_graph
from tamis.stages.selectors.queries import Spending
from tamis.tests.stages.selectors.test_graph import graph_pool, pool_of_cosines

THREE = [[1, 0.8, 0.1], [0.8, 1, 0.2], [0.1, 0.2, 1]]


def of_graph(pool, rows=None, copies=None):
    rows = np.arange(len(pool)) if rows is None else np.array(rows, np.int64)
    ones = np.ones(len(rows)) if copies is None else np.array(copies)
    return GraphCoverage(read_graph(pool, "knn"), rows, ones)


def vectors_of(cosine):
    return np.linalg.cholesky(np.array(cosine))


def random_cosines(n, seed=0, numbers=6):
    vectors = np.random.default_rng(seed).normal(size=(n, numbers))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, vectors @ vectors.T


def plainly(similar, copies, limit, bonus=0.0, share=1.0):
    """The plain greedy procedure."""
    similar = np.maximum(similar, 0)
    covered, chosen = np.zeros(len(similar)), []
    while len(chosen) < limit:
        gain = share * (copies[:, None] * np.maximum(similar - covered[:, None], 0)).sum(0) + bonus
        gain[chosen] = -np.inf
        chosen.append(int(gain.astype(np.float32).argmax()))
        covered = np.maximum(covered, similar[:, chosen[-1]])
    return chosen


def greedy(cover, n, limit, bonus=None, share=1.0):
    spending = Spending(np.ones(n, np.int64), limit - 1)
    return lazy_greedy(cover, share, np.zeros(n) if bonus is None else bonus, spending)


@pytest.mark.parametrize("kind", ["graph", "vectors"])
def test_golden_of_three(kind):
    """Gains 1.9, 2.0, 1.3: row 1; then {1, 2} covers 2.8 and {0, 1} 2.2: row 2."""
    pool = pool_of_cosines(THREE)
    cover = of_graph(pool) if kind == "graph" else VectorCoverage(vectors_of(THREE), np.ones(3), 0)
    assert cover.all_gains() == pytest.approx([1.9, 2.0, 1.3])
    picks, worth = greedy(cover, 3, 2)
    assert picks.tolist() == [1, 2]
    assert worth.tolist() == pytest.approx([0.2, 2.0, 0.8])


def test_golden_of_points():
    """0, 1, 2 and 6 on a line, similarity e^-distance: 1, then 6, then 0."""
    cover = VectorCoverage(np.array([[0.0], [1], [2], [6]]), np.ones(4), True)
    picks, worth = greedy(cover, 4, 3)
    assert picks.tolist() == [1, 3, 0]
    assert worth[picks].tolist() == pytest.approx([1.742497, 0.993262, 0.632121], abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_lazily_is_plainly(seed):
    vectors, cosine = random_cosines(60, seed)
    copies = np.random.default_rng(seed).integers(1, 4, 60)
    expected = plainly(cosine, copies, 25)
    assert greedy(VectorCoverage(vectors, copies, False), 60, 25)[0].tolist() == expected
    graph = of_graph(pool_of_cosines(cosine), copies=copies)
    assert greedy(graph, 60, 25)[0].tolist() == expected
    bonus = np.random.default_rng(seed).normal(size=60)
    expected = plainly(cosine, copies, 25, 0.5 * bonus, 0.5)
    found, _ = greedy(VectorCoverage(vectors, copies, False), 60, 25, 0.5 * bonus, 0.5)
    assert found.tolist() == expected


def test_sparse_is_plainly_with_zeros():
    """Only the three nearest of each row; an edge counts in both directions."""
    _, cosine = random_cosines(50)
    own = cosine - 9 * np.eye(50)
    order = np.argsort(-own, axis=1, kind="stable")[:, :3]
    similar = np.eye(50)
    for row, near in enumerate(order):
        similar[row, near] = similar[near, row] = cosine[row, near]
    values = np.take_along_axis(own, order, 1)
    cover = of_graph(graph_pool(order.tolist(), values.tolist()))
    assert greedy(cover, 50, 30)[0].tolist() == plainly(similar, np.ones(50), 30)


def test_neighbours_that_are_gone_lead_nowhere():
    pool = pool_of_cosines(THREE)
    assert of_graph(pool, [0, 2]).all_gains() == pytest.approx([1.1, 1.1])
    assert of_graph(pool, []).all_gains().tolist() == []


def test_blocks_change_nothing(monkeypatch):
    vectors, _ = random_cosines(40)
    cover = VectorCoverage(vectors, np.ones(40), False)
    whole = cover.all_gains()
    monkeypatch.setattr(coverage, "NUMBERS", 120)
    np.testing.assert_allclose(cover.all_gains(), whole, rtol=1e-14)


@pytest.mark.parametrize("euclidean", [False, True])
@pytest.mark.parametrize(("held", "few"), [(0, 4), (40, 1), (1 << 24, 1), (1 << 24, 4)])
def test_what_is_held_decides_nothing(held, few, euclidean, monkeypatch):
    vectors, cosine = random_cosines(90)
    squares = np.maximum(2 - 2 * cosine, 0)
    similar = np.exp(-np.sqrt(squares) / vectors.shape[1]) if euclidean else cosine
    copies = np.random.default_rng(0).integers(1, 4, 90)
    monkeypatch.setattr(coverage, "HELD", held)
    monkeypatch.setattr(coverage, "FEW", few)
    cover = VectorCoverage(vectors, copies, euclidean)
    picks, worth = greedy(cover, 90, 60)
    assert picks.tolist() == plainly(similar, copies, 60)
    covered = similar[:, picks].max(1)
    gains = copies @ np.maximum(similar - np.maximum(covered, 0)[:, None], 0)
    rest = np.setdiff1d(np.arange(90), picks)
    np.testing.assert_allclose(worth[rest], gains[rest], rtol=1e-5, atol=1e-6)


def test_similarities_are_computed_once_they_are_few(monkeypatch):
    """Two far groups: when one is covered, its rows are asked for no product any more."""
    vectors = np.repeat(np.eye(2), 8, axis=0) + np.tile(np.eye(8), (2, 1))[:, :2] * 0.1
    cover = VectorCoverage(vectors, np.ones(16), False)
    monkeypatch.setattr(coverage, "FEW", 1)
    cover.all_gains()
    before = cover.gains(np.arange(16))
    monkeypatch.setattr(cover, "_similar", None)
    np.testing.assert_allclose(cover.gains(np.arange(16)), before, rtol=1e-12)
