import logging

import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import DataError, PlanError
from tamis.scorers import transport
from tamis.scorers.checks import check_scorer
from tamis.scorers.got_d import GotD, calibrated, potential
from tamis.tests.scorers.test_transport import exact
from tamis.tests.scorers.test_tsds import target, vectors


def scored(scorer, pool, *examples):
    fitted = scorer.fit_to_targets([pool], {"t": target(examples)})
    return scorer(pool, fitted)["score"].to_numpy()


def test_golden():
    f = np.array([3.0, 1.0, 2.0])
    g = calibrated(f, f.mean(), 3)
    assert g == pytest.approx([1.5, -1.5, 0.0])
    assert np.argsort(g).tolist() == [1, 2, 0]
    assert g == pytest.approx(f * (1 + 1 / 2) - f.sum() / 2)
    assert calibrated(f + 7, f.mean() + 7, 3) == pytest.approx(g)
    assert g.sum() == pytest.approx(0)
    assert calibrated(np.array([5.0]), 5.0, 1).tolist() == [0.0]


def test_the_potential_of_a_row_is_the_soft_minimum():
    cost, h = np.array([[1.0, 3.0]]), np.array([0.5, 0.0])
    assert potential(cost, h, 1e-4) == pytest.approx([0.5], abs=1e-3)
    assert potential(cost, h, 1.0) == pytest.approx([-np.log((np.exp(-0.5) + np.exp(-3)) / 2)])


def test_it_is_the_gradient_of_the_exact_cost():
    """A little more mass on a row, of all rows: the cost changes by that times g (n - 1) / n."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 3, size=7), rng.uniform(0, 3, size=5)
    cost = 1 - np.cos(x[:, None] - y)
    b, more, expected = np.full(5, 1 / 5), 1e-5, []
    before = exact(cost, np.full(7, 1 / 7), b)[0]
    for row in range(7):
        a = np.full(7, 1 / 7)
        a[row] += more
        expected.append((exact(cost, a / a.sum(), b)[0] - before) / more * 7 / 6)
    scorer = GotD(target="t", regularisation=0.002, iterations=20_000)
    found = scored(scorer, vectors(x), *y)
    assert found == pytest.approx(-np.array(expected), abs=0.02)
    assert found.sum() == pytest.approx(0, abs=1e-5)


def test_what_the_pool_lacks_comes_first():
    """Half of the target is like most of the pool, the other half like a single row."""
    pool = vectors([0.0, 0.01, 0.02, 0.03, 0.04, 1.5, 3.0])
    found = scored(GotD(target="t"), pool, 0.02, 1.5)
    assert found.argmax() == 5
    assert found.argmin() == 6


def test_parts_order_and_copies_do_not_matter():
    rng = np.random.default_rng(2)
    pool = vectors(rng.uniform(0, 3, size=50))
    pool = pa.concat_tables([pool, pool.slice(3, 5)])
    aim = {"t": target([0.5, 1.0, 2.5])}
    scorer = GotD(target="t", chunk=16)
    state = scorer.fit_to_targets([pool], aim)
    mixed = pool.take(rng.permutation(55))
    other = scorer.fit_to_targets([mixed.slice(30), mixed.slice(0, 30)], aim)
    assert other.drop_columns("mean") == state.drop_columns("mean")
    assert other["mean"][0].as_py() == pytest.approx(state["mean"][0].as_py(), abs=1e-15)
    alone = pa.concat_tables([scorer(pool.slice(i, 1), state) for i in range(55)])
    assert alone["score"].to_numpy() == pytest.approx(scorer(pool, state)["score"].to_numpy())
    for row in range(50, 55):
        assert alone["score"][row] == alone["score"][row - 47]


def test_chunks_are_near_the_whole():
    rng = np.random.default_rng(3)
    pool = vectors(
        rng.uniform(0, 3, size=400), [f"{hash((i, 1)) % 10**9:032x}" for i in range(400)]
    )
    whole = scored(GotD(target="t"), pool, 0.5, 1.0, 2.5)
    cut = scored(GotD(target="t", chunk=100), pool, 0.5, 1.0, 2.5)
    assert np.corrcoef(whole, cut)[0, 1] > 0.99


def test_memory(monkeypatch):
    pool = vectors(np.linspace(0, 3, 40))
    aim = {"t": target([0.5, 1.0])}
    large = GotD(target="t", chunk=10).fit_to_targets([pool], aim)
    reads = []

    class Read(list):
        def __iter__(self):
            reads.append(1)
            return super().__iter__()

    GotD(target="t", chunk=10).fit_to_targets(Read([pool]), aim)
    assert len(reads) == 3
    scorer = GotD(target="t", chunk=10)
    monkeypatch.setattr(GotD, "_room", property(lambda self: 11 * 2 * 8), raising=False)
    reads.clear()
    assert scorer.fit_to_targets(Read([pool]), aim) == large
    assert len(reads) == 6
    monkeypatch.setattr(GotD, "_room", property(lambda self: 9 * 2 * 8), raising=False)
    with pytest.raises(DataError, match="10 vectors of 2 numbers do not fit into memory_mb"):
        scorer.fit_to_targets([pool], aim)


def test_it_says_that_it_did_not_settle(caplog):
    with caplog.at_level(logging.WARNING):
        scored(GotD(target="t", iterations=1, regularisation=0.001), vectors([0, 1, 2]), 0.5, 3)
    assert "masses are off by" in caplog.text


def test_rows_without_a_vector():
    pool = vectors([0.0, 1.0, 2.0], status=["ok", "no_text", "ok"])
    scorer = GotD(target="t")
    made = scorer(pool, scorer.fit_to_targets([pool], {"t": target([0.5])}))
    assert made["status"].to_pylist() == ["ok", "no_text", "ok"]
    empty = pool.slice(0, 0)
    state = scorer.fit_to_targets([empty], {"t": target([0.5])})
    assert len(scorer(empty, state)) == 0
    with pytest.raises(ValueError, match="each once"):
        GotD(target=["a", "a"])


def test_that_pot_is_missing_is_said_before_the_pool_is_worked_on(monkeypatch):
    assert GotD(target="t").misfit({}) == ""
    monkeypatch.setattr(transport, "find_spec", lambda name: None)
    with pytest.raises(PlanError, match=r"pip install 'tamis\[ot\]'"):
        GotD(target="t").misfit({})


def test_contract():
    pool = vectors(np.linspace(0, 3, 30))
    check_scorer(GotD(target="t", chunk=8), pool, {"t": target([0.3, 2.0])})
