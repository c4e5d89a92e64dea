import numpy as np
import pytest
from scipy.optimize import linprog
from tamis.errors import PlanError
from tamis.scorers import transport
from tamis.scorers.transport import check_installed, target_potentials


def exact(cost, a, b):
    """The cost of the exact transport and the potentials of both sides."""
    n, m = cost.shape
    rows, columns = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    found = linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([a, b]))
    return found.fun, found.eqlin.marginals[:n], found.eqlin.marginals[n:]


def test_a_small_regularisation_is_the_exact_transport():
    rng = np.random.default_rng(0)
    cost = rng.uniform(size=(7, 5))
    _, _, g = exact(cost, np.full(7, 1 / 7), np.full(5, 1 / 5))
    found, off = target_potentials(cost, 0.002, 20_000, 1e-8)
    assert off < 1e-8
    assert found - found.mean() == pytest.approx(g - g.mean(), abs=0.02)


def test_it_says_how_far_off_it_is():
    cost = np.random.default_rng(1).uniform(size=(9, 4))
    assert target_potentials(cost, 0.001, 1, 1e-9)[1] > 1e-3


def test_without_pot(monkeypatch):
    monkeypatch.setattr(transport, "find_spec", lambda name: None)
    for asked in (check_installed, lambda: target_potentials(np.ones((2, 2)), 0.1, 1, 0.1)):
        with pytest.raises(PlanError, match=r"needs POT, .*: pip install 'tamis\[ot\]'"):
            asked()
