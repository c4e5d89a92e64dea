import numpy as np
from tamis.stages.banding import Bands, agreement, alike
from tamis.stages.grouping import linked

BANDS = Bands(
    np.array([1, 2, 1, 3, 2, 1, 2, 9], np.uint64), np.array([0, 0, 1, 1, 2, 3, 3, 4], np.int32)
)


def test_links_hold_all_together_that_share_a_band():
    labels = linked(5, *BANDS.links())
    assert len(set(labels[:4].tolist())) == 1 and labels[4] != labels[0]


def test_rows_of_each_shared_band():
    assert sorted(rows.tolist() for rows in BANDS.shared()) == [[0, 1, 3], [0, 2, 3]]


def test_the_same_rows_come_once():
    twice = Bands(np.array([1, 2, 1, 2], np.uint64), np.array([0, 0, 1, 1], np.int32))
    assert [rows.tolist() for rows in twice.shared()] == [[0, 1]]
    alone = Bands(np.array([1, 2], np.uint64), np.array([0, 1], np.int32))
    assert list(alone.shared()) == []


def test_agreement():
    one, other = np.array([[1, 2, 3, 4], [1, 0, 0, 9]]), np.array([[1, 2, 3, 0]])
    assert agreement(one, other).tolist() == [0.75, 0.25]


def test_only_alike_ones_are_linked():
    """All pairs and these links hold the same rows together."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 9, (5, 30))
    signatures = np.where(
        rng.random((40, 30)) < 0.2, rng.integers(0, 9, (40, 30)), base[rng.integers(0, 5, 40)]
    )
    rows = np.sort(rng.permutation(100)[:40])
    for threshold in (0.3, 0.6, 0.8, 1.0):
        pairs = np.argwhere((signatures[:, None] == signatures).mean(2) >= threshold)
        expected = linked(100, rows[pairs[:, 0]], rows[pairs[:, 1]])
        found = linked(100, *alike(rows, signatures, threshold))
        assert len(set(zip(expected, found, strict=True))) == len(set(expected)) == len(set(found))


def test_no_rows():
    left, right = alike(np.empty(0, int), np.empty((0, 4), int), 0.5)
    assert len(left) == len(right) == 0
