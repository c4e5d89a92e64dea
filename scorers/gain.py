"""How many clusters: the largest relative gain over a rising grid of numbers, 1 before the first.

With e(k) the share of something that k clusters leave unexplained, the same data for every k,

    gain(k) = (e(k') - e(k)) / (k - k')        of each new cluster; k' the one before, at first 1

and k is where the gain of the next step is smallest beside its own:

    relative(k) = gain(k) / max(gain(k after), largest gain / 10)

The largest is taken, the smallest k of equal ones, and never the last of the grid, after which
nothing is known. The error alone falls with every k. A tenth of the largest gain is taken for
nothing: gains are mostly equal up to the number of clusters, and what follows is chance.
"""

import logging
from collections.abc import Mapping
from itertools import pairwise

log = logging.getLogger(__name__)

GRID = (2, 3, 4, 6, 8, 10, 16, 24)
LARGEST_GRID = 8
FLOOR = 0.1


def checked(grid: tuple[int, ...]) -> tuple[int, ...]:
    """Return a grid as it is.

    Raises:
        ValueError: it does not rise, or has not two to eight numbers.
    """
    if not 2 <= len(grid) <= LARGEST_GRID or any(a >= b for a, b in pairwise(grid)):
        raise ValueError(f"must be two to {LARGEST_GRID} rising numbers, not {list(grid)}")
    return grid


def best_of(errors: Mapping[int, float], name: str) -> int:
    """Return the k with the largest relative gain, and log what it was chosen by.

    Args:
        errors: e(k) by k, rising, for three at least, the first of them 1.
        name: of what is clustered, for the log.
    """
    grid = list(errors)
    gains = {k: (errors[before] - errors[k]) / (k - before) for before, k in pairwise(grid)}
    floor = max(FLOOR * max(gains.values()), 1e-12)
    relative = {k: gains[k] / max(gains[after], floor) for k, after in pairwise(grid[1:])}
    best = max(relative, key=lambda k: (relative[k], -k))
    shown = ", ".join(f"{k}: {error:.4f}" for k, error in errors.items())
    log.info("%s: %d clusters, by the errors %s", name, best, shown)
    return best
