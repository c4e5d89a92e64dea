"""Clusters of near equal sizes: a price for each centroid, paid by those who choose it.

    label of x = argmin_c |x - c|^2 + price_c

Of all ways to deal vectors out to given centroids in given numbers, the one of the least squared
distances has this form: a power diagram (Aurenhammer, Hoffmann & Aronov 1998, "Minkowski-type
theorems and least-squares clustering"). So a vector that no price was set by has its cluster too.

Prices rise where too many vectors are and fall where too few, in steps of each centroid's own: 1.2
times the last one while the direction holds, half of it where it turns (Rprop, Riedmiller & Braun
1993, here on the sign of size - n / k). The steps end when no size is off by more than 1 %, or by
a whole vector, and the best prices seen are taken. Rounds of a hundred steps and new means go
before, since centroids that lie where balanced clusters are need lower prices.

Nothing is promised beyond that: sizes are as near as the steps got, and copies of a vector stay
together, which no prices can part. All of it has one thread.
"""

import numpy as np

from .kmeans import ROWS_AT_ONCE, means, members

TOLERANCE = 0.01  # of n / k
ROUNDS = 10
STEPS, LAST_STEPS = 100, 1_000
LONGER, SHORTER = 1.2, 0.5
LARGEST = 1 << 30  # products of vectors and centroids that are held, fp32


def balance(
    vectors: np.ndarray, centroids: np.ndarray, spherical: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return centroids with about as many vectors each, and their prices.

    Args:
        vectors: (vectors, numbers) fp32.
        centroids: (k, numbers) fp32 to begin with; at most `LARGEST` products of both.
        spherical: keep centroids at length 1.

    Returns:
        (k, numbers) fp32, and (k,) float64 in squared distance, of mean 0.
    """
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    prices, share = np.zeros(len(centroids)), 1.0
    with threadpool_limits(1):  # with more, last digits would depend on how many
        for _ in range(ROUNDS):
            prices = _priced(_closeness(vectors, centroids), prices, STEPS, share)
            found = members(vectors, centroids, prices)
            centroids, share = means(centroids, *found, spherical), 0.1
        prices = _priced(_closeness(vectors, centroids), prices, LAST_STEPS, share)
    return centroids, prices


def _closeness(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """2 x . c - |c|^2 for all pairs, (vectors, k) fp32."""
    exact = centroids.astype(np.float64)
    squares = np.square(exact).sum(1)
    found = np.empty((len(vectors), len(exact)), np.float32)
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        block = vectors[start : start + ROWS_AT_ONCE].astype(np.float64)
        found[start : start + len(block)] = 2 * block @ exact.T - squares
    return found


def _priced(closeness: np.ndarray, prices: np.ndarray, steps: int, share: float) -> np.ndarray:
    """Prices after so many steps, the first as long as a share of what parts best and second."""
    n, k = closeness.shape
    if k == 1:
        return prices
    two = np.partition(closeness, k - 2, axis=1)[:, -2:]
    step = np.full(k, share * float((two[:, 1] - two[:, 0]).mean(dtype=np.float64)))
    last, best, least = np.zeros(k), prices, np.inf
    for _ in range(steps):
        labels = (closeness - prices.astype(np.float32)).argmax(1)
        over = np.bincount(labels, minlength=k) - n / k
        off = float(np.abs(over).max())
        if off < least:
            best, least = prices, off
        if off < 1 or off <= TOLERANCE * n / k:
            break
        sign = np.sign(over)
        step = step * np.where(sign * last > 0, LONGER, np.where(sign * last < 0, SHORTER, 1.0))
        prices, last = prices + step * sign, sign
        prices = prices - prices.mean()
    return best
