"""Effects worked by hand."""

import numpy as np
import pytest
from tamis.pipeline.report.leaning import (
    chance_of_more,
    lean_of_groups,
    lean_of_numbers,
    rank_correlation,
    shares,
)


def rows(n, *places):
    found = np.zeros(n, dtype=bool)
    found[list(places)] = True
    return found


def test_chance_of_more():
    pool = np.array([1.0, 2, 3, 4])
    assert chance_of_more(np.array([4.0]), pool) == 3.5 / 4  # more than three, equal to one
    assert chance_of_more(np.array([1.0, 4, np.nan]), pool) == 0.5
    assert chance_of_more(np.array([9.0]), pool) == 1
    assert chance_of_more(np.empty(0), pool) == 0.5


def test_numbers_lean_only_beyond_every_random_choice():
    values = np.arange(100.0)
    top, random = np.arange(100) >= 90, np.stack([np.arange(100) % 10 == k for k in range(3)])
    lean = lean_of_numbers(values, top, random)
    assert lean.size == pytest.approx(0.95) and lean.level == "major"
    assert lean.range == pytest.approx((0.455 + 0.0, 0.475), abs=0.02)
    assert lean_of_numbers(values, top, np.stack([top, ~top])).level == "ok"
    middle = (np.arange(100) >= 55) & (np.arange(100) < 75)  # mean 64.5, so 0.65
    assert lean_of_numbers(values, middle, random).level == "minor"
    assert lean_of_numbers(np.where(top, np.nan, values), top, random).size == 0.5


def test_groups():
    groups = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    even = np.stack([rows(8, 0, 4), rows(8, 1, 5)])
    lean = lean_of_groups(groups, rows(8, 0, 1), even)
    assert (lean.size, lean.random, lean.level) == (0.5, (0.0, 0.0), "major")
    assert lean_of_groups(groups, rows(8, 0, 4), even).level == "ok"
    by_chance = np.stack([rows(8, 0, 1), rows(8, 4, 5)])  # so small that chance does the same
    assert lean_of_groups(groups, rows(8, 0, 1), by_chance).level == "ok"


def test_shares():
    assert shares(np.array([0, 2, 2]), rows(3, 1, 2)).tolist() == [0, 0, 1]
    assert shares(np.array([0, 2, 2]), rows(3)).tolist() == [0, 0, 0]


def test_rank_correlation():
    a = np.array([1.0, 2, 3, np.nan])
    assert rank_correlation(a, a**3) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert rank_correlation(a, np.ones(4)) is None is rank_correlation(a[:1], a[:1])
    assert rank_correlation(a[:0], a[:0]) is None
    # ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4
    found = rank_correlation(np.array([1.0, 2, 2, 3]), np.arange(4.0))
    assert found == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    # ranks 1, 2.5, 2.5 and 1, 2, 3: covariance 1.5, variances 1.5 and 2
    assert rank_correlation(np.array([0.0, 5, 5]), np.arange(3.0)) == pytest.approx(0.75**0.5)
