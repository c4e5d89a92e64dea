"""Orthogonal matching pursuit by hand, and against the plain procedure."""

import numpy as np
import pytest
from tamis.scorers.pursuit import pursue

ONCE = np.ones(100, np.int64)
A = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
B = np.array([3.0, 1.0])


def test_official_by_hand():
    """<a, b> is 3, 1, 2.6: row 0 with 3 / 1; the rest (0, 1) takes row 1; the ridge halves both
    weights, (1.5, 0.5), and then row 0 fits best again (1.5 against 1.3): a new pursuit, of row 2.
    """
    picks, weights = pursue(A, B, ONCE[:3], 3)
    assert picks.tolist() == [0, 1, 2]
    assert weights == pytest.approx([1.5, 0.5, 2.6])


def test_grad_match_by_hand():
    """Row 0 with 3 / (1 + 1); of what is left, (1.5, 1), row 2 has 1.7 and row 1 has 1."""
    picks, weights = pursue(A, B, ONCE[:3], 2, "grad_match")
    assert picks.tolist() == [0, 2]
    # [[2, .6], [.6, 2]] w = (3, 2.6)
    assert weights == pytest.approx([4.44 / 3.64, 3.4 / 3.64])
    assert pursue(A, B, ONCE[:3], 3, "grad_match")[0].tolist() == [0, 2, 1]


def test_signs():
    """A vector against the goal helps only where weights may be negative."""
    vectors = np.array([[-1, 0], [0, 1]], np.float32)
    goal = np.array([1.0, 0.1])
    assert pursue(vectors, goal, ONCE[:2], 2)[0].tolist() == [1]
    picks, weights = pursue(vectors, goal, ONCE[:2], 2, "grad_match")
    assert picks.tolist() == [0, 1]
    assert weights == pytest.approx([-0.5, 0.05])


def test_a_pick_that_is_taken_out_again():
    """(10, 0) fits best, but beside (1.1, 1) its weight for the goal (1, 1) is -0.01."""
    vectors = np.array([[10, 0], [1.1, 1]], np.float32)
    goal = np.array([1.0, 1.0])
    picks, weights = pursue(vectors, goal, ONCE[:2], 2, lam=1e-9)
    assert picks.tolist() == [1, 0]
    assert weights == pytest.approx([2.1 / 2.21, 0.1])
    assert pursue(vectors, goal, ONCE[:2], 1)[0].tolist() == [0]


def test_ends_at_the_goal():
    vectors = np.array([[1, 0], [0, 1]], np.float32)
    goal = np.array([1.0, 0.0])
    assert pursue(vectors, goal, ONCE[:2], 2)[0].tolist() == [0]  # row 1 has no part in it
    assert pursue(vectors, goal, ONCE[:2], 2, "grad_match", 1e-9)[0].tolist() == [0]
    for mode in ("official", "grad_match"):
        assert len(pursue(vectors, np.zeros(2), ONCE[:2], 2, mode)[0]) == 0
        assert len(pursue(vectors[:0], goal, ONCE[:0], 2, mode)[0]) == 0


def test_copies_count_as_many():
    picks, _ = pursue(A, B, np.array([2, 1, 1]), 2)
    assert picks.tolist() == [0]


def plain(vectors, goal, budget, lam):
    """The published procedure, step by step in double precision, on lists."""
    left, chosen = list(range(len(vectors))), []
    while len(chosen) < budget:
        inside, weights, rest = [], [], goal
        for _ in range(budget - len(chosen)):
            fits = [vectors[j] @ rest for j in left]
            best = left[int(np.argmax(fits))]
            if best in inside:
                break
            inside.append(best)
            if len(inside) == 1:
                weights = [vectors[best] @ goal / (vectors[best] @ vectors[best])]
            else:
                newest = True
                weights = solved(vectors[inside], goal, lam)
                while newest and min(weights) < 0:
                    worst = int(np.argmin(weights))
                    newest = worst < len(inside) - 1
                    inside.pop(worst)
                    if newest:
                        weights = solved(vectors[inside], goal, lam)
                if not newest:
                    break
            rest = goal - np.array(weights) @ vectors[inside]
        assert inside
        chosen += inside
        left = [j for j in left if j not in inside]
    return chosen


def solved(chosen, goal, lam):
    return np.linalg.lstsq(chosen @ chosen.T + lam * np.eye(len(chosen)), chosen @ goal)[0].tolist()


@pytest.mark.parametrize("lam", [1.0, 0.01])
def test_official_is_the_plain_procedure(lam):
    """On 20 sets of 60 vectors around a mean; with a small ridge many picks are taken out again."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        vectors = rng.normal(size=(60, 12)) + rng.normal(size=12)
        vectors = (vectors / np.linalg.norm(vectors, axis=1)[:, None]).astype(np.float32)
        exact = vectors.astype(np.float64)
        goal = exact.mean(0)
        for budget in (1, 7, 20):
            assert pursue(vectors, goal, ONCE[:60], budget, lam=lam)[0].tolist() == plain(
                exact, goal, budget, lam
            )


@pytest.mark.parametrize("mode", ["official", "grad_match"])
def test_fewer_are_the_first_of_more(mode):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(80, 30)) + 1
    vectors = (vectors / np.linalg.norm(vectors, axis=1)[:, None]).astype(np.float32)
    goal = vectors.mean(0, dtype=np.float64)
    many = pursue(vectors, goal, ONCE[:80], 40, mode)[0].tolist()
    assert len(set(many)) == 40
    for most in (1, 5, 17):
        assert pursue(vectors, goal, ONCE[:80], most, mode)[0].tolist() == many[:most]


def test_sum_comes_near_the_goal():
    """With a small ridge, picks of any sign reach the goal, as least squares do."""
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(50, 8)).astype(np.float32)
    goal = rng.normal(size=8)
    picks, weights = pursue(vectors, goal, ONCE[:50], 50, "grad_match", lam=1e-9)
    assert len(picks) <= 8
    assert np.linalg.norm(weights @ vectors[picks] - goal) < 1e-4 * np.linalg.norm(goal)
