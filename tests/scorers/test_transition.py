import numpy as np
import pytest
from tamis.scorers.transition import counted, estimate, posterior, shares_of

T = np.array([[0.9, 0.1], [0.2, 0.8]])
P = np.array([0.6, 0.4])


def test_shares_of_a_judge():
    one, two, three = shares_of(T, P)
    assert one == pytest.approx([0.62, 0.38])
    assert two == pytest.approx(np.array([[0.502, 0.118], [0.118, 0.262]]))
    corners = [three[0, 0, 0], three[0, 0, 1], three[0, 1, 1], three[1, 1, 1]]
    assert corners == pytest.approx([0.4406, 0.0614, 0.0566, 0.2054])


def test_posterior_with_flat_vectors():
    """The published line needs P as a column: with a flat P and a flat c1 it gives .871 and .105
    in the first row, which are no probabilities of what a row deserves."""
    found = posterior(T, P)
    assert found == pytest.approx(np.array([[0.870968, 0.157895], [0.129032, 0.842105]]), abs=1e-6)
    assert found.sum(0) == pytest.approx([1, 1])
    silent = T * P / shares_of(T, P)[0]
    assert silent[0] == pytest.approx([0.870968, 0.105263], abs=1e-6)


def test_a_rating_that_is_never_given():
    found = posterior(np.array([[1.0, 0.0], [1.0, 0.0]]), P)
    assert found.tolist() == [[0.6, 0.0], [0.4, 0.0]]


def test_counts():
    one, two, three = counted(np.array([[0, 0, 1], [0, 1, 1], [1, 0, 0], [0, 0, 1]]), 2)
    assert one.tolist() == [0.75, 0.25]
    assert two.tolist() == [[0.5, 0.25], [0.25, 0.0]]
    assert three[0, 0].tolist() == [0.0, 0.5]
    assert counted(np.empty((0, 3), np.int64), 2)[0].tolist() == [0, 0]


def test_the_judge_is_found_again():
    transition, prior = estimate(shares_of(T, P))
    assert transition == pytest.approx(T, abs=0.01)
    assert prior == pytest.approx(P, abs=0.01)
    assert transition.sum(1) == pytest.approx([1, 1])


def test_from_rows_and_neighbours():
    """20,000 rows of three deserved ratings, each with two neighbours that deserve the same."""
    rng = np.random.default_rng(0)
    true = np.array([[0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.05, 0.15, 0.8]])
    deserved = rng.choice(3, 20_000, p=[0.2, 0.5, 0.3])
    chance = rng.random((20_000, 3, 1))
    given = (chance > true.cumsum(1)[deserved][:, None]).sum(2)
    transition, prior = estimate(counted(given, 3))
    assert transition == pytest.approx(true, abs=0.03)
    assert prior == pytest.approx([0.2, 0.5, 0.3], abs=0.03)
