import numpy as np
import pytest
from tamis.scorers.regression import FOLDS, Line, learn


def test_a_line():
    assert Line(np.array([2.0, -1.0]), 0.5).at(np.array([[1.0, 1.0], [0.0, 3.0]])).tolist() == [
        1.5,
        -2.5,
    ]


def drawn(n=200, numbers=6, seed=0):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, numbers))
    return vectors, vectors @ np.arange(numbers) + 3, rng.integers(0, 1 << 60, n)


def test_numbers_without_noise_are_learnt():
    vectors, wanted, turn = drawn()
    learnt = learn(vectors, wanted, turn, logistic=False)
    assert learnt.penalty == 0.01
    assert learnt.line.weights == pytest.approx(np.arange(6), rel=0.02, abs=0.02)
    assert learnt.line.intercept == pytest.approx(3, abs=0.1)
    assert learnt.held_out == pytest.approx(wanted, abs=0.3)


def test_what_cannot_be_learnt_is_held_back():
    vectors, wanted, turn = drawn()
    chance = np.random.default_rng(1).permutation(wanted)
    learnt = learn(vectors, chance, turn, logistic=False)
    assert learnt.penalty == 100
    assert np.std(learnt.held_out) < 0.2 * np.std(chance)


def test_a_row_is_predicted_by_models_that_have_not_seen_it():
    """One row is far off, and only its own prediction cannot know."""
    vectors, wanted, turn = drawn()
    wanted[0] += 1000
    learnt = learn(vectors, wanted, turn, logistic=False)
    assert abs(learnt.held_out[0] - wanted[0]) > 900
    assert FOLDS == 5


def test_yes_and_no():
    vectors, wanted, turn = drawn()
    yes = (wanted > 3).astype(float)
    learnt = learn(vectors, yes, turn, logistic=True)
    assert ((learnt.held_out > 0) == (yes == 1)).mean() > 0.9
    assert learnt.line.at(vectors)[yes == 1].mean() > 2


def test_one_yes_among_many():
    """The fold without it has a model of nothing but no."""
    vectors, wanted, turn = drawn(40)
    yes = np.zeros(40)
    yes[int(np.argmax(wanted))] = 1
    learnt = learn(vectors, yes, turn, logistic=True)
    assert np.isfinite(learnt.held_out).all()
