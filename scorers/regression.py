"""A small linear model of numbers or of yes and no, and how well it says what it has not seen.

Of numbers it is a ridge regression, of yes and no a logistic one. How strongly it is held back
(relative to the mean square of what it reads) is the one of `PENALTIES` that is best on held-out
rows: each of `FOLDS` shares of the rows is predicted by a model of the others.

All runs on one thread, so that the last digits do not depend on how many there are.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FOLDS = 5
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)
ITERATIONS = 1000

Fit = Callable[[np.ndarray, np.ndarray, float], "Line"]


@dataclass(frozen=True)
class Line:
    """weights . x + intercept.

    Attributes:
        weights: (numbers,).
        intercept: of it.
    """

    weights: np.ndarray
    intercept: float

    def at(self, vectors: np.ndarray) -> np.ndarray:
        """Return its values, (rows,); each row by itself, whatever stands beside it."""
        return np.asarray((vectors * self.weights).sum(1) + self.intercept)


@dataclass(frozen=True)
class Learnt:
    """A model of all rows, and what models of some said of the others.

    Attributes:
        line: of all rows; of yes and no the log of the odds.
        held_out: (rows,) its values for each row by a model that has not seen the row.
        penalty: the one that was best.
    """

    line: Line
    held_out: np.ndarray
    penalty: float


def learn(vectors: np.ndarray, wanted: np.ndarray, turn: np.ndarray, logistic: bool) -> Learnt:
    """Return the model of some rows.

    Args:
        vectors: (rows, numbers).
        wanted: (rows,) numbers, or 0 and 1, of each two at least.
        turn: (rows,) a number of each row; rows are dealt to the folds in its order.
        logistic: of 0 and 1.
    """
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    fold = np.empty(len(wanted), np.int64)
    fold[np.argsort(turn, kind="stable")] = np.arange(len(wanted)) % FOLDS
    fit: Fit = _odds if logistic else _ridge
    with threadpool_limits(1):
        tried = [_held_out(vectors, wanted, fold, fit, penalty) for penalty in PENALTIES]
        losses = [_loss(values, wanted, logistic) for values in tried]
        best = int(np.argmin(losses))
        return Learnt(fit(vectors, wanted, PENALTIES[best]), tried[best], PENALTIES[best])


def _held_out(
    vectors: np.ndarray, wanted: np.ndarray, fold: np.ndarray, fit: Fit, penalty: float
) -> np.ndarray:
    found = np.empty(len(wanted))
    for number in range(FOLDS):
        own = fold == number
        found[own] = fit(vectors[~own], wanted[~own], penalty).at(vectors[own])
    return found


def _ridge(vectors: np.ndarray, wanted: np.ndarray, penalty: float) -> Line:
    centre, middle = vectors.mean(0), float(wanted.mean())
    moved = vectors - centre
    gram = moved.T @ moved
    held = penalty * max(float(gram.trace()) / len(gram), np.finfo(np.float64).tiny)
    weights = np.linalg.solve(gram + held * np.eye(len(gram)), moved.T @ (wanted - middle))
    return Line(weights, middle - float(centre @ weights))


def _odds(vectors: np.ndarray, wanted: np.ndarray, penalty: float) -> Line:
    if wanted.min() == wanted.max():  # of few rows of one kind none may be left
        share = (wanted.sum() + 0.5) / (len(wanted) + 1)
        return Line(np.zeros(vectors.shape[1]), float(np.log(share / (1 - share))))
    from sklearn.linear_model import LogisticRegression  # heavy, and only `fit` needs it

    centre = vectors.mean(0)
    moved = vectors - centre
    held = penalty * max(float((moved**2).sum()) / moved.shape[1], np.finfo(np.float64).tiny)
    model = LogisticRegression(C=1 / held, max_iter=ITERATIONS).fit(moved, wanted)
    weights = np.asarray(model.coef_[0])
    return Line(weights, float(model.intercept_[0] - centre @ weights))


def _loss(values: np.ndarray, wanted: np.ndarray, logistic: bool) -> float:
    """The mean square, or the mean negative log-likelihood."""
    if not logistic:
        return float(((values - wanted) ** 2).mean())
    return float((np.logaddexp(0, values) - wanted * values).mean())
