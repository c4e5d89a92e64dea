"""TSDS: how much of a target's mass each candidate is assigned, near-duplicates sharing theirs.

Each of M examples has the mass 1 / M and its nearest candidates in order, at the distances d_k and
with the densities r_k (about how many near-duplicates a candidate has, itself counted). A candidate
takes at most 1 / (M s r_k) of it; the nearest are filled first. The larger s, the more candidates
share, and the farther the mass has to go: s grows until

    alpha / C sum over examples of cost_j >= (1 - alpha) M,

    cost_j = d_(k+1) c_k - sum over i <= k of d_i / r_i,    c_k = sum over i <= k of 1 / r_i

for the last k with c_k <= s; or until the last neighbour is reached. Source: Liu et al. 2024, arXiv
2410.11303, and its code (ZifanL/TSDS), which takes these steps one by one from a heap; here they
are sorted at once. A stop before some example has filled a single candidate ends the published code
with an error; here nobody is assigned more than there is.
"""

import numpy as np

BLOCK = 1 << 22  # numbers at a time; bounds memory, no result


def assigned(distances: np.ndarray, densities: np.ndarray, alpha: float, c: float) -> np.ndarray:
    """Return the mass that each neighbour is assigned, (examples, neighbours); 1 in all.

    Args:
        distances: (examples, neighbours) rising.
        densities: (examples, neighbours) of these candidates, positive.
        alpha: 0 to 1: 0 spreads the mass over all neighbours, 1 gives it to the nearest.
        c: scale of the distances.
    """
    m, k = distances.shape
    shares = 1 / densities
    filled = np.zeros((m, k))
    if k > 1:
        s = _spread(distances, shares, alpha, c)
        filled = np.minimum(np.cumsum(shares, axis=1) / s, 1)
    filled[:, -1] = 1  # what is left goes to the last
    mass: np.ndarray = np.diff(filled, axis=1, prepend=0) / m
    return mass


def _spread(distances: np.ndarray, shares: np.ndarray, alpha: float, c: float) -> float:
    """The s at which it stops."""
    m, steps = len(distances), slice(0, -1)
    reached = np.cumsum(shares, axis=1)[:, steps]
    cost = distances[:, 1:] * reached - np.cumsum(distances * shares, axis=1)[:, steps]
    example, place = np.indices(cost.shape)
    order = np.lexsort((example.ravel(), place.ravel(), reached.ravel()))
    grown = np.cumsum(np.diff(cost, axis=1, prepend=0).ravel()[order])
    stops = np.flatnonzero(alpha / c * grown >= (1 - alpha) * m)
    at = order[stops[0]] if len(stops) else order[-1]
    return float(reached.ravel()[at])


def densities_of(vectors: np.ndarray, sigma: float, neighbours: int) -> np.ndarray:
    """Return how dense it is around each vector, (vectors,): itself counts 1.

    The density is the sum of max(0, 1 - distance^2 / sigma^2) over the nearest vectors.

    Args:
        vectors: (vectors, numbers) float64.
        sigma: distance at which others no longer count; 0: all densities are 1.
        neighbours: how many count at most, the vector itself among them.
    """
    n = len(vectors)
    found = np.ones(n)
    if not sigma:
        return found
    squares = np.square(vectors).sum(1)
    at_once = max(BLOCK // max(n, 1), 1)
    for start in range(0, n, at_once):
        own = slice(start, start + at_once)
        apart = squares[own, None] + squares - 2 * vectors[own] @ vectors.T
        kernel = np.maximum(1 - np.maximum(apart, 0) / sigma**2, 0)
        lines = np.arange(len(kernel))
        kernel[lines, start + lines] = 1  # itself, but for rounding
        if neighbours < n:
            kernel = np.partition(kernel, n - neighbours, axis=1)[:, n - neighbours :]
        found[own] = kernel.sum(1)
    return found
