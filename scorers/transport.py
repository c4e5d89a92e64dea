"""Entropic optimal transport between two sets of rows of equal masses, by POT."""

from importlib.util import find_spec

import numpy as np

from ..errors import PlanError


def check_installed() -> None:
    """Raise if POT is missing.

    Raises:
        PlanError: it is.
    """
    if find_spec("ot") is None:
        raise PlanError("got_d needs POT, which is not installed: pip install 'tamis[ot]'")


def target_potentials(
    cost: np.ndarray, regularisation: float, iterations: int, tolerance: float
) -> tuple[np.ndarray, float]:
    """Return the potentials of the target's rows, and how far its masses are off.

    The Sinkhorn iterations run on logarithms, so that nothing becomes 0 or infinite, however small
    the regularisation.

    Args:
        cost: (rows, target rows) of moving one onto the other.
        regularisation: weight of the entropy, in units of the cost.
        iterations: at most.
        tolerance: of the masses of the target's rows, as the root of the sum of squares.

    Raises:
        PlanError: POT is missing.
    """
    check_installed()
    import ot  # an extra, and takes seconds

    n, m = cost.shape
    _, found = ot.bregman.sinkhorn_log(
        np.full(n, 1 / n),
        np.full(m, 1 / m),
        cost,
        regularisation,
        numItermax=iterations,
        stopThr=tolerance,
        log=True,
        warn=False,  # the caller says it in its own words
    )
    # exp(v) = mass x exp(potential / regularisation); masses are equal, and constants do not count
    return regularisation * np.asarray(found["log_v"]), float(found["err"][-1])
