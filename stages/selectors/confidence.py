"""What a few noisy copies tell of a row's mean and deviation: intervals for normal draws.

With n copies, of which `spread` is the population standard deviation (over n, not n - 1):

    mean       +- t_{n-1} spread / sqrt(n - 1)           Student; times sqrt(1 - n / most), as the
                                                         mean of `most` copies, these among them,
                                                         is meant and not that of all there could be
    deviation  spread sqrt(n / chi2_{n-1})               between two quantiles of chi-square

Both are textbook intervals. One copy tells nothing: its intervals are infinite.
"""

import numpy as np


def half_width(spread: np.ndarray, n: np.ndarray, confidence: float, most: int) -> np.ndarray:
    """Return half the width of the interval of each mean, (rows,) float64.

    Args:
        spread: (rows,) population standard deviation of the copies.
        n: (rows,) how many there are.
        confidence: two-sided, between 0 and 1.
        most: of how many copies the mean is meant.
    """
    from scipy import special  # not needed to select

    free = np.maximum(n - 1, 1)
    width = special.stdtrit(free, (1 + confidence) / 2) * spread / np.sqrt(free)
    return np.where(n > 1, width * np.sqrt(np.maximum(1 - n / most, 0)), np.inf)


def deviation_bounds(
    spread: np.ndarray, n: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and the upper bound of each standard deviation, both (rows,) float64.

    Args:
        spread: (rows,) population standard deviation of the copies.
        n: (rows,) how many there are.
        confidence: two-sided, between 0 and 1.
    """
    tail = (1 - confidence) / 2
    low, high = _scaled(spread, n, tail), _scaled(spread, n, 1 - tail)
    return np.where(n > 1, low, 0.0), np.where(n > 1, high, np.inf)


def deviation_estimate(spread: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return an estimate of each standard deviation that is as often too high as too low.

    Few copies make the population form too small, by a quarter for four; rows with different
    numbers of copies could not be compared by it. Infinite for one copy.
    """
    return np.where(n > 1, _scaled(spread, n, 0.5), np.inf)


def _scaled(spread: np.ndarray, n: np.ndarray, upper_tail: float) -> np.ndarray:
    from scipy import special

    scaled: np.ndarray = spread * np.sqrt(n / special.chdtri(np.maximum(n - 1, 1), upper_tail))
    return scaled
