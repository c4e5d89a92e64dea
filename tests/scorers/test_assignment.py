import heapq

import numpy as np
import pytest
from tamis.scorers.assignment import assigned, densities_of


def plain(distances, densities, alpha, c):
    """One candidate after the other is opened to the examples, as the published code does it."""
    m, k = distances.shape
    last, full = [0] * m, [1 / densities[j][0] for j in range(m)]
    moved = [distances[j][0] / densities[j][0] for j in range(m)]
    cost, heap = [0.0] * m, [(full[j], 0, j) for j in range(m)]
    heapq.heapify(heap)
    while heap:
        s, at, j = heapq.heappop(heap)
        cost[j] = distances[j][at + 1] * s - moved[j]
        if alpha / c * sum(cost) >= (1 - alpha) * m:
            break
        last[j] = at
        if at < k - 2:
            heapq.heappush(heap, (s + 1 / densities[j][at + 1], at + 1, j))
            moved[j] += distances[j][at + 1] / densities[j][at + 1]
    found = np.zeros((m, k))
    for j in range(m):
        found[j, : last[j] + 1] = 1 / m / s / densities[j, : last[j] + 1]
        found[j, last[j] + 1] = max(1 / m - found[j].sum(), 0)
    return found


def test_golden():
    """One example; candidates at 1, 2, 4 and 8; alpha 1/2, C 5: stop where the cost reaches 5.

    Costs 2 x 1 - 1 = 1, 4 x 2 - 3 = 5: so s = 2, and two candidates take a half each.
    """
    found = assigned(np.array([[1.0, 2.0, 4.0, 8.0]]), np.ones((1, 4)), 0.5, 5.0)
    assert found == pytest.approx(np.array([[0.5, 0.5, 0, 0]]))


def test_near_duplicates_share():
    """The first two are near-duplicates: 1/2 each until s = 1, a third fills s = 2."""
    found = assigned(np.array([[1.0, 1.0, 2.0, 6.0]]), np.array([[2.0, 2.0, 1.0, 1.0]]), 0.5, 5.0)
    # costs 1 x .5 - .5 = 0, 2 x 1 - 1 = 1, 6 x 2 - 3 = 9 >= 5
    assert found == pytest.approx(np.array([[0.25, 0.25, 0.5, 0]]))


def test_it_is_the_plain_procedure():
    rng = np.random.default_rng(0)
    for _ in range(30):
        m, k = int(rng.integers(1, 7)), int(rng.integers(2, 30))
        distances = np.sort(rng.uniform(0, 2, size=(m, k)), axis=1)
        densities = 1 + rng.integers(0, 4, size=(m, k)) * rng.uniform(size=(m, k))
        alpha, c = float(rng.uniform(0.2, 0.8)), float(rng.uniform(0.5, 8))
        expected = plain(distances, densities, alpha, c)
        if expected.sum() == pytest.approx(1):  # else the published code has ended with an error
            assert assigned(distances, densities, alpha, c) == pytest.approx(expected, abs=1e-12)


def test_all_mass_is_assigned_and_no_more():
    rng = np.random.default_rng(1)
    for alpha in (0.0, 0.3, 1.0):
        distances = np.sort(rng.uniform(0, 2, size=(5, 9)), axis=1)
        found = assigned(distances, rng.uniform(1, 3, size=(5, 9)), alpha, 5.0)
        assert found.sum(1) == pytest.approx([0.2] * 5)
        assert (found >= 0).all()
    assert assigned(np.array([[1.0], [2.0]]), np.ones((2, 1)), 0.5, 5.0).tolist() == [[0.5]] * 2
    nearest = assigned(np.array([[1.0, 2.0, 3.0]]), np.ones((1, 3)), 1.0, 5.0)
    assert nearest.tolist() == [[1.0, 0.0, 0.0]]


def test_densities():
    vectors = np.array([[0.0], [0.5], [3.0], [0.0]])
    assert densities_of(vectors, 1.0, 4).tolist() == [2.75, 2.5, 1.0, 2.75]
    assert densities_of(vectors, 1.0, 2).tolist() == [2.0, 1.75, 1.0, 2.0]
    assert densities_of(vectors, 0.0, 4).tolist() == [1.0] * 4
