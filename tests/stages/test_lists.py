import numpy as np
import pytest
from tamis.stages import lists as module
from tamis.stages.lists import Lists, in_lists, lists_for, nearest_in_lists
from tamis.stages.measures import Cosine
from tamis.stages.nearest import Found, nearest_of_all, recall_of
from tamis.tests.stages.test_nearest import every, unit_rows

# Rows 0 to 5 at 0, 10, 20, 90, 100 and 180 degrees, in three lists around 10, 95 and 180.
ANGLES = np.radians([0, 10, 20, 90, 100, 180])
PLANE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1).astype(np.float32)
BY_HAND = Lists(
    np.array([0, 0, 0, 1, 1, 2]),
    [np.array([0, 1, 2]), np.array([3, 4]), np.array([5])],
    np.array([[0, 1, 2], [1, 0, 2], [2, 1, 0]]),
)


def test_by_hand():
    """One list leaves row 5 alone; with two it finds those at 100 and 90 degrees."""
    one, two = (nearest_in_lists(PLANE, BY_HAND, 2, probes) for probes in (1, 2))
    assert one.places.tolist() == [[1, 2], [0, 2], [1, 0], [4, -1], [3, -1], [-1, -1]]
    assert two.places.tolist() == [[1, 2], [0, 2], [1, 0], [4, 2], [3, 2], [4, 3]]
    wanted = np.cos(np.radians([80, 90]))
    np.testing.assert_allclose(two.similarity[5], wanted, atol=1e-7)


def test_lists_for_a_share_by_hand():
    """Of the four neighbours of rows 2 and 5 one is in the first list, two in the second."""
    rows = np.array([2, 5])
    exact = Found(np.array([[1, 3], [4, 0]]), np.zeros((2, 2)))
    needed = [lists_for(BY_HAND, rows, exact, share) for share in (0.1, 0.25, 0.3, 0.75, 0.76, 1)]
    assert needed == [1, 1, 2, 2, 3, 3]
    nobody = Found(np.full((2, 2), -1), np.full((2, 2), -np.inf))
    assert lists_for(BY_HAND, rows, nobody, 0.9) == 1


def test_rows_lie_in_the_lists_of_their_groups():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 6, 300)
    vectors = np.eye(6)[group] + 0.01 * rng.normal(size=(300, 6))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    lists = in_lists(vectors, 30, 0)
    for owner, members in enumerate(lists.members):
        assert len(members)
        assert len(set(group[members].tolist())) == 1
        assert (np.diff(members) > 0).all()
        assert (lists.owner[members] == owner).all()
    np.testing.assert_array_equal(np.sort(np.concatenate(lists.members)), np.arange(300))
    of = group[[members[0] for members in lists.members]]
    first = (of[lists.nearby[:, : (of == of[0]).sum()]] == of[:, None]).mean()
    assert first > 0.8  # lists of the same group are near each other
    np.testing.assert_array_equal(lists.nearby[:, 0], np.arange(len(lists.members)))


def test_lists_that_nobody_is_in_are_left_out():
    vectors = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    lists = in_lists(vectors, 12, 0)
    assert len(lists.members) == 3
    assert lists.nearby.shape == (3, 3)
    assert nearest_in_lists(vectors, lists, 2, 1).places[10].tolist() == [11, 12]


def test_the_share_that_is_asked_for_is_found():
    vectors = unit_rows(2000)
    exact = nearest_of_all(Cosine.of(vectors), every(vectors), 6)
    lists = in_lists(vectors, 80, 0)
    for share in (0.6, 0.9, 1.0):
        probes = lists_for(lists, every(vectors), exact, share)
        found, fewer = (nearest_in_lists(vectors, lists, 6, n) for n in (probes, probes - 1))
        assert recall_of(found, exact) >= share > recall_of(fewer, exact)
    whole = nearest_in_lists(vectors, lists, 6, 80)
    np.testing.assert_array_equal(whole.places, exact.places)
    np.testing.assert_array_equal(whole.similarity, exact.similarity)


@pytest.mark.parametrize("at_once", [4096, 5])
def test_threads_and_blocks_change_nothing(monkeypatch, at_once):
    vectors = np.concatenate([unit_rows(1500), np.repeat(unit_rows(3, seed=1), 40, axis=0)])
    lists = in_lists(vectors, 40, 0)
    first = nearest_in_lists(vectors, lists, 5, 4)
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    for threads in (2, 3):
        other = nearest_in_lists(vectors, lists, 5, 4, threads)
        np.testing.assert_array_equal(other.places, first.places)
        np.testing.assert_array_equal(other.similarity, first.similarity)
