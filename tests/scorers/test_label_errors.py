import numpy as np
import pytest
from tamis.scorers.label_errors import (
    Neighbourhood,
    _uniform,
    detect,
    suspects,
    triples,
    votes,
)

EVERY = np.ones(4, dtype=bool)
FOUR = Neighbourhood(  # of four rows, each with all the others
    ratings=np.array([0, 1, 1, 1]),
    near=np.array([[1, 2, 3], [2, 0, 3], [1, 3, 0], [2, 1, 0]]),
    cosines=np.array([[0.9, 0.8, 0.5], [0.9, 0.9, 0.6], [0.9, 0.7, 0.8], [0.7, 0.6, 0.5]], "f4"),
)


def bits(n, seed=0):
    return np.random.default_rng(seed).integers(0, 1 << 63, n, dtype=np.uint64)


def crowd(n, wrong, rating=0, other=1):
    """So many rows that are all near each other, the first few with another rating."""
    ratings = np.full(n, rating)
    ratings[:wrong] = other
    near = np.array([[(row + step) % n for step in range(1, 13)] for row in range(n)])
    return Neighbourhood(ratings, near, np.full((n, 12), 0.9, np.float32))


def test_votes_by_hand():
    """Row 0 with k 3: neighbours 1 and 2, both rated 1, vote .9 + .8; its own vote is 1 - (2 x .1 -
    .2) = 1. The length of (1, 1.7) is sqrt(3.89). Row 1: its own 1 - (.2 - .1) = .9 and .9 of row 2
    for 1, .9 of row 0 for 0."""
    found = votes(FOUR, EVERY, 2, 3)
    assert found[0] == pytest.approx(np.array([1, 1.7]) / 3.89**0.5, abs=1e-6)
    assert found[1] == pytest.approx(np.array([0.9, 1.8]) / (0.81 + 3.24) ** 0.5, abs=1e-6)
    assert np.square(found).sum(1) == pytest.approx([1] * 4)


def test_rows_outside_do_not_vote():
    """Without row 1 the neighbours of row 0 are 2 and 3; its own vote is 1 - (2 x .2 - .5)."""
    found = votes(FOUR, np.array([True, False, True, True]), 2, 3)
    assert found[0] == pytest.approx(np.array([1.1, 1.3]) / (1.21 + 1.69) ** 0.5, abs=1e-6)
    assert found[1].tolist() == [0, 0]
    alone = votes(FOUR, np.array([True, False, False, False]), 2, 3)
    assert alone[0].tolist() == [1, 0]
    pair = votes(FOUR, np.array([True, True, False, False]), 2, 3)  # 1 - d1 = .9 is its own
    assert pair[0] == pytest.approx(np.array([0.9, 0.9]) / 1.62**0.5, abs=1e-6)


def test_triples_skip_rows_without_a_rating():
    hood = Neighbourhood(np.array([0, -1, 2, 1]), FOUR.near, FOUR.cosines)
    assert triples(hood).tolist() == [[0, 2, 1], [2, 1, 0], [1, 2, 0]]


def test_the_worst_share_of_each_rating_is_suspect():
    doubts = np.array([0.1, 0.2, 0.3, 0.4, 0.0, 9.0])
    ratings = np.array([0, 0, 0, 0, 1, 1])
    # half of the first; of the second the share 1, for which .95 is taken, and 0, for which .05 is
    found = suspects(doubts, ratings, np.array([0.5, 0.0]))
    assert found.tolist() == [False, False, True, True, False, True]
    assert suspects(doubts, ratings, np.array([1.0, 1.0, 1.0])).tolist() == [
        *(False, False, False, True, False, True)
    ]


def test_a_wrong_rating_among_right_ones():
    """Row 0 alone of 30 is rated 1, and suspect in all d rounds that it is in, which all suggest 0:
    suspect (d + 1) / (d + 2), and the same is the share of the suggestion."""
    found = detect(crowd(30, 1), np.array([0.95, 0.05]), bits(30), k=10, epochs=51, share=0.9)
    assert found.rating[0] == 0
    assert found.suspect[0] > 0.95
    assert found.confidence[0] == pytest.approx(found.suspect[0] ** 2)


def test_its_own_rating_is_no_suggestion():
    """All rows are rated 0: ties of doubt make all of them suspect, and the votes say 0 again; the
    published masks it with -1. What is left of the suggestions is 1 / (51 + 2), never taken."""
    found = detect(crowd(30, 0), np.array([1.0, 1.0]), bits(30), k=10, epochs=51, share=1.0)
    assert found.suspect == pytest.approx([52 / 53] * 30)
    assert set(found.rating.tolist()) == {1}
    assert found.confidence == pytest.approx([52 / 53 / 53] * 30)


def test_rounds_draw_by_content():
    """Rows in another order, with their bits, get the same."""
    hood, right, own = crowd(40, 5), np.array([0.9, 0.4]), bits(40)
    found = detect(hood, right, own, k=10, epochs=11, share=0.8)
    turn = np.random.default_rng(1).permutation(40)
    at = np.argsort(turn)
    turned = Neighbourhood(hood.ratings[turn], at[hood.near[turn]], hood.cosines[turn])
    again = detect(turned, right, own[turn], k=10, epochs=11, share=0.8)
    assert np.array_equal(again.confidence, found.confidence[turn])
    assert np.array_equal(again.suspect, found.suspect[turn])
    other = detect(hood, right, bits(40, 1), k=10, epochs=11, share=0.8)
    assert not np.array_equal(other.suspect, found.suspect)


def test_draws_are_even():
    own = bits(4000)
    drawn = np.stack([_uniform(own, epoch) for epoch in range(20)])
    assert drawn.min() >= 0 and drawn.max() < 1
    assert drawn.mean() == pytest.approx(0.5, abs=0.005)
    assert np.abs(np.corrcoef(drawn) - np.eye(20)).max() < 0.1
