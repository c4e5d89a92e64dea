"""How a judge errs, read off the ratings of rows that lie near each other (HOC).

Zhu et al. 2021, arXiv 2102.05291: rows next to each other are taken to deserve the same rating.
With T[i, j] the probability that a row that deserves the rating i is given j, and P[i] the share of
rows that deserve i, a row and its two nearest neighbours are then given i, j and l in the shares

    c1 = T' P        c2 = T' diag(P) T        c3[i, j, l] = sum_k P_k T_ki T_kj T_kl

T and P are those whose shares come nearest to the counted ones: the sum of the three Frobenius
norms of the gaps, minimised over softmax(T) and softmax(P) by Adam with a rate of 0.1 in 1501
steps, from a T near the identity and an even P. The best step is taken. The published code counts
50 random samples; here all rows are counted once, so that nothing is drawn.

The other way round, a row that is given j deserves i with the probability T[i, j] P[i] / c1[j]. The
published code divides T times a *column* P by a flat c1; with two flat vectors the same line gives
another matrix, without an error.
"""

import numpy as np

RATE, STEPS = 0.1, 1501
DECAY = (0.9, 0.999)
NEAR_IDENTITY = 5.0

Shares = tuple[np.ndarray, np.ndarray, np.ndarray]
"""c1 (classes,), c2 (classes, classes) and c3 (classes, classes, classes)."""


def shares_of(transition: np.ndarray, prior: np.ndarray) -> Shares:
    """Return c1, c2 and c3 of a judge.

    Args:
        transition: T, (classes, classes); rows sum to 1.
        prior: P, (classes,).
    """
    weighed = prior[:, None] * transition
    return (
        weighed.sum(0),
        np.einsum("ki,kj->ij", weighed, transition),
        np.einsum("ki,kj,kl->ijl", weighed, transition, transition),
    )


def counted(ratings: np.ndarray, classes: int) -> Shares:
    """Return the shares in which rows and their two nearest neighbours are rated.

    Args:
        ratings: (rows, 3) of each row and of its neighbours, from 0 to `classes` - 1.
        classes: how many ratings there are.
    """
    flat = (ratings[:, 0] * classes + ratings[:, 1]) * classes + ratings[:, 2]
    counts = np.bincount(flat, minlength=classes**3).reshape((classes,) * 3)
    shares = counts / max(len(ratings), 1)
    return shares.sum((1, 2)), shares.sum(2), shares


def estimate(wanted: Shares) -> tuple[np.ndarray, np.ndarray]:
    """Return T and P whose shares come nearest to the counted ones.

    Args:
        wanted: of `counted`.
    """
    classes = len(wanted[0])
    free = np.concatenate([NEAR_IDENTITY * np.eye(classes) - 1, np.zeros((1, classes))])
    first, second = np.zeros_like(free), np.zeros_like(free)
    best, least = _softmax(free), np.inf
    for step in range(STEPS):
        both = _softmax(free)
        loss, slope = _loss(both, wanted)
        if loss < least:
            best, least = both, loss
        slope = both * (slope - (slope * both).sum(1, keepdims=True))
        first = DECAY[0] * first + (1 - DECAY[0]) * slope
        second = DECAY[1] * second + (1 - DECAY[1]) * slope**2
        mean, square = first / (1 - DECAY[0] ** (step + 1)), second / (1 - DECAY[1] ** (step + 1))
        free = free - RATE * mean / (np.sqrt(square) + 1e-8)
    return best[:-1], best[-1]


def posterior(transition: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return the probability of deserving i when given j as [i, j]; columns sum to 1, or are 0."""
    joint = prior[:, None] * transition
    given = joint.sum(0)
    found: np.ndarray = np.divide(joint, given, out=np.zeros_like(joint), where=given > 0)
    return found


def _softmax(free: np.ndarray) -> np.ndarray:
    """T and, as the last row, P."""
    grown = np.exp(free - free.max(1, keepdims=True))
    return np.asarray(grown / grown.sum(1, keepdims=True))


def _loss(both: np.ndarray, wanted: Shares) -> tuple[float, np.ndarray]:
    """The sum of the norms of the gaps, and its slope along T and P."""
    transition, prior = both[:-1], both[-1]
    gaps = [own - other for own, other in zip(shares_of(transition, prior), wanted, strict=True)]
    norms = [float(np.sqrt((gap**2).sum())) for gap in gaps]
    one, two, three = (g / n if n else g for g, n in zip(gaps, norms, strict=True))
    pair = transition @ two.T  # [k, i] = sum_j two[i, j] T[k, j]
    once = np.einsum("ijl,kj,kl->ki", three, transition, transition)
    along_prior = (transition * (one + pair + once)).sum(1)
    turned = three.transpose(1, 0, 2) + three.transpose(2, 0, 1)
    both_ways = pair + transition @ two + once
    along = one + both_ways + np.einsum("ijl,kj,kl->ki", turned, transition, transition)
    return sum(norms), np.concatenate([prior[:, None] * along, along_prior[None]])
