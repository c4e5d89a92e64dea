import numpy as np
import pytest
from tamis.stages.selectors.confidence import deviation_bounds, deviation_estimate, half_width

MANY = 10**12  # copies: as good as all there could be


def test_against_tables():
    """t(0.975; 3) = 3.1824, chi2(0.975; 3) = 9.3484, chi2(0.025; 3) = 0.2158, median 2.3660."""
    spread, n = np.array([0.02]), np.array([4.0])
    assert half_width(spread, n, 0.95, MANY) == pytest.approx(3.182446 * 0.02 / np.sqrt(3))
    low, high = deviation_bounds(spread, n, 0.95)
    assert low == pytest.approx(0.02 * np.sqrt(4 / 9.348404))
    assert high == pytest.approx(0.02 * np.sqrt(4 / 0.215795), rel=1e-5)
    assert deviation_estimate(spread, n) == pytest.approx(0.02 * np.sqrt(4 / 2.365974))


def test_one_copy_tells_nothing():
    spread, n = np.array([0.0, 0.0]), np.array([1.0, 0.0])
    assert half_width(spread, n, 0.95, MANY).tolist() == [np.inf] * 2
    assert [bounds.tolist() for bounds in deviation_bounds(spread, n, 0.95)] == [
        [0.0] * 2,
        [np.inf] * 2,
    ]
    assert deviation_estimate(spread, n).tolist() == [np.inf] * 2


def test_a_mean_of_all_copies_is_known_with_all_copies():
    spread, n = np.array([0.02, 0.02]), np.array([10.0, 30.0])
    width = half_width(spread, n, 0.95, most=30)
    assert width[0] == pytest.approx(half_width(spread, n, 0.95, MANY)[0] * np.sqrt(2 / 3))
    assert width[1] == 0


@pytest.mark.parametrize("n", [2, 4, 10])
def test_intervals_hold_what_they_promise(n):
    """Normal copies of mean 3 and deviation 2: 90 % of the intervals hold them."""
    copies = 3 + 2 * np.random.default_rng(n).standard_normal((20_000, n))
    spread, counts = copies.std(1), np.full(len(copies), float(n))
    width = half_width(spread, counts, 0.9, MANY)
    assert np.mean(np.abs(copies.mean(1) - 3) < width) == pytest.approx(0.9, abs=0.01)
    low, high = deviation_bounds(spread, counts, 0.9)
    assert np.mean((low < 2) & (high > 2)) == pytest.approx(0.9, abs=0.01)
    assert np.mean(deviation_estimate(spread, counts) > 2) == pytest.approx(0.5, abs=0.02)
