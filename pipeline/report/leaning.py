"""How far a selection leans: the size of an effect, beside what random choices of its size give.

Nothing here is a test of significance: with many rows every difference is significant. A verdict
goes by how large an effect is, and only where it is beyond every one of the random choices.

- Numbers: the chance that a kept row has more than a row of the pool, ties counted half (Vargha and
  Delaney 2000). One half is no lean; 0.56, 0.64 and 0.71 are their small, medium and large effects.
- Groups: half the sum of the differences of shares, which is the share of the kept rows that would
  have to come from other groups (total variation).
"""

from dataclasses import dataclass

import numpy as np

from .page import Level

SMALL, LARGE = 0.06, 0.21  # of a chance, from one half
SOME, MUCH = 0.05, 0.20  # of a share that would have to move


@dataclass(frozen=True)
class Lean:
    """How far a choice is from its pool.

    Attributes:
        size: of the effect for the kept rows.
        random: of each random choice.
        level: how much that is.
    """

    size: float
    random: tuple[float, ...]
    level: Level

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest effect of random choices."""
        return min(self.random), max(self.random)


def lean_of_numbers(values: np.ndarray, kept: np.ndarray, random: np.ndarray) -> Lean:
    """Return how much more of something kept rows have than the pool.

    Args:
        values: (rows,) NaN where it is not known.
        kept: (rows,) bool.
        random: (choices, rows) bool.
    """
    pool = np.sort(values[np.isfinite(values)])
    size, *others = (chance_of_more(values[rows], pool) for rows in (kept, *random))
    beyond = not min(others) <= size <= max(others)
    return Lean(size, tuple(others), _level(abs(size - 0.5), SMALL, LARGE, beyond))


def chance_of_more(values: np.ndarray, pool: np.ndarray) -> float:
    """Return the chance that one of some values is above one of a sorted pool, ties half."""
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.5
    below, not_above = (np.searchsorted(pool, values, side) for side in ("left", "right"))
    return float((below + not_above).mean() / 2 / len(pool))


def lean_of_groups(groups: np.ndarray, kept: np.ndarray, random: np.ndarray) -> Lean:
    """Return how far the shares of groups among kept rows are from those of the pool.

    Args:
        groups: (rows,) the number of each row's group, from 0.
        kept: (rows,) bool.
        random: (choices, rows) bool.
    """
    pool = shares(groups, np.ones(len(groups), dtype=bool))
    size, *others = (moved(shares(groups, rows), pool) for rows in (kept, *random))
    excess = size - float(np.mean(others))  # small choices differ by chance alone
    return Lean(size, tuple(others), _level(excess, SOME, MUCH, size > max(others)))


def shares(groups: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the share of each group among some rows, (groups,)."""
    counted = np.bincount(groups[rows], minlength=int(groups.max(initial=-1)) + 1)
    found: np.ndarray = counted / max(int(rows.sum()), 1)
    return found


def moved(a: np.ndarray, b: np.ndarray) -> float:
    """Return the total variation of two mixes: the share of one that would have to change groups.

    Args:
        a: (groups,) shares, which add up to 1.
        b: likewise, of the same groups.
    """
    return float(np.abs(a - b).sum() / 2)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Return Spearman's correlation of two numbers of the rows that have both.

    Returns:
        In [-1, 1], with mean ranks for ties; None where one is the same for all of these rows.
    """
    both = np.isfinite(a) & np.isfinite(b)
    first, second = _ranks(a[both]), _ranks(b[both])
    if not both.any() or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Places in ascending order; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


def _level(effect: float, some: float, much: float, beyond: bool) -> Level:
    if not beyond or effect < some:
        return "ok"
    return "minor" if effect < much else "major"
