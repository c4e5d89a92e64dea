"""Orthogonal matching pursuit: few vectors whose weighted sum comes near a goal, one by one.

With a_j the vectors, b the goal, S those that are picked and w their weights:

    r = b - sum_S w_j a_j,    w = argmin |sum_S w_j a_j - b|^2 + lam |w|^2

mode        next pick                 weights
official    largest <a_j, r>          at least 0, as the published code of TAGCOS has it (`omp.py`,
                                      made from that of GRAD-MATCH): whatever would be negative is
                                      taken out again, the most negative first
grad_match  largest |<a_j, r>| of     of any sign; GRAD-MATCH (Killamsetty et al. 2021, arXiv
            those not picked          2103.00123), Algorithm 2

In both the pursuit ends when |r| < tolerance |b|. With `official` the first weight is without lam,
and the pursuit ends as well when the largest <a_j, r> is of a vector that is picked already, which
the ridge makes happen soon, or when the newest pick is taken out. The code then begins again with
what is left, until it has as many as it wants: `pursue` does the same.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Mode = Literal["official", "grad_match"]


def pursue(
    vectors: np.ndarray,
    goal: np.ndarray,
    copies: np.ndarray,
    most: int,
    mode: Mode = "official",
    lam: float = 1.0,
    tolerance: float = 1e-4,
) -> tuple[np.ndarray, np.ndarray]:
    """Return which vectors are picked, in order, and their weights.

    With fewer than `most`, the first ones are the same, but for a pick that is taken out again.
    Fewer than `most` are found where nothing that is left points along the goal (`official`; the
    published code does not end there), or where the goal is reached (`grad_match`).

    Args:
        vectors: (rows, numbers) fp32; of equal fits the first row is picked.
        goal: (numbers,) float64.
        copies: (rows,) how many rows a pick stands for.
        most: how many rows are wanted; the last pick may go beyond.
        mode: as above.
        lam: ridge, above 0.
        tolerance: of the residual, relative to the goal.

    Returns:
        (picks,) int64 and (picks,) float64.
    """
    left = np.ones(len(vectors), dtype=bool)
    picks, weights, wanted = np.empty(0, np.int64), np.empty(0), most
    one = _official if mode == "official" else _grad_match
    while wanted > 0 and left.any():
        found, own = one(_Goal(vectors, left, goal, lam, tolerance), copies, wanted)
        picks, weights = np.append(picks, found), np.append(weights, own)
        wanted -= int(copies[found].sum())
        left[found] = False
        if not len(found) or mode == "grad_match":
            break
    return picks, weights


@dataclass(frozen=True)
class _Goal:
    """What one pursuit is for.

    Attributes:
        vectors, goal, lam, tolerance: as `pursue` has them.
        left: (rows,) bool, which may be picked.
    """

    vectors: np.ndarray
    left: np.ndarray
    goal: np.ndarray
    lam: float
    tolerance: float

    def far(self, residual: np.ndarray) -> bool:
        """Whether it is not reached yet."""
        return bool(np.linalg.norm(residual) >= self.tolerance * np.linalg.norm(self.goal))

    def fits(self, residual: np.ndarray) -> np.ndarray:
        """(rows,) fp32 products with the residual; 0 for rows that may not be picked."""
        return np.asarray(np.where(self.left, self.vectors @ residual.astype(np.float32), 0))

    def ridge(self, picks: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """The weights of the picks, (picks,), and the residual, (numbers,), in double precision."""
        chosen = self.vectors[picks].astype(np.float64)
        gram = chosen @ chosen.T + self.lam * np.eye(len(picks))
        weights = np.linalg.solve(gram, chosen @ self.goal)
        return weights, self.goal - weights @ chosen


def _official(goal: _Goal, copies: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """One pursuit with weights of at least 0."""
    picks: list[int] = []
    weights, residual, steps = np.empty(0), goal.goal, 0
    while steps < wanted and goal.far(residual):
        fits = goal.fits(residual)
        best = int(fits.argmax())
        if best in picks or fits[best] <= 0:
            break
        picks, steps = [*picks, best], steps + int(copies[best])
        if len(picks) == 1:
            own = goal.vectors[best].astype(np.float64)
            weights = np.array([own @ goal.goal / (own @ own)])
            residual = goal.goal - weights * own
            continue
        weights, residual = goal.ridge(picks)
        while weights.min() < 0:
            worst = int(weights.argmin())
            del picks[worst]
            if worst == len(picks):  # the newest
                return _with_weight(picks, weights[:worst])
            weights, residual = goal.ridge(picks)
    return _with_weight(picks, weights)


def _grad_match(goal: _Goal, copies: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """One pursuit with weights of any sign."""
    picks: list[int] = []
    weights, residual = np.empty(0), goal.goal
    while copies[picks].sum() < wanted and goal.far(residual):
        fits = np.abs(goal.fits(residual))
        fits[picks] = 0
        best = int(fits.argmax())
        if fits[best] == 0:
            break
        picks = [*picks, best]
        weights, residual = goal.ridge(picks)
    return np.array(picks, np.int64), weights


def _with_weight(picks: list[int], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picks whose weight is not 0."""
    some = weights != 0
    return np.array(picks, np.int64)[some], weights[some]
