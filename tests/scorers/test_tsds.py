import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError, DataError
from tamis.scorers.assignment import assigned, densities_of
from tamis.scorers.checks import check_scorer
from tamis.scorers.tsds import Tsds


def vectors(values, ids=None, status=None):
    """Rows with unit vectors at some angles."""
    n = len(values)
    table = {
        "sample_id": ids or [f"{place:032x}" for place in range(n)],
        "base.embedding": pa.array(
            [[float(np.cos(v)), float(np.sin(v))] for v in values], pa.list_(pa.float32())
        ),
        "base.given.status": ["ok"] * n,
        "base.status": status or ["ok"] * n,
    }
    return pa.table(table)


def target(values):
    return vectors(values).drop_columns(["sample_id"])


def scored(scorer, pool, *examples):
    return scorer(pool, scorer.fit_to_targets([pool], {"t": target(examples)}))


def test_golden():
    """An example at 0 degrees: rows at 60, 90 and 180 degrees are 1, sqrt 2 and 2 from it.

    A single distance counts 1; alpha 1/2, C .4: costs sqrt 2 - 1 = .414 >= .4, so all goes to one.
    With C .5 the next is 2 x 2 - 2.414 = 1.586, and two rows take a half each.
    """
    pool = vectors(np.radians([60, 90, 180]))
    for c, mass in ((0.4, [1.0, None, None]), (0.5, [0.5, 0.5, None])):
        scorer = Tsds(target="t", c=c, max_k=3, sigma=0.1)
        # of three rows a tenth is less than two neighbours; so give it more rows far away
        many = pa.concat_tables([pool, vectors([np.pi] * 37, [f"f{i:031x}" for i in range(37)])])
        found = scored(scorer, many, 0.0).slice(0, 3)
        assert found["mass"].to_pylist() == [None if m is None else pytest.approx(m) for m in mass]
        assert found["status"].to_pylist() == ["ok" if m else "not_reached" for m in mass]
        assert found["score"].to_pylist()[0] == pytest.approx(np.log(mass[0]))


def test_it_is_the_plain_procedure_over_all_pairs():
    rng = np.random.default_rng(0)
    angles, examples = rng.uniform(0, 6.28, size=300), rng.uniform(0, 1.5, size=4)
    x = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32).astype(np.float64)
    q = np.stack([np.cos(examples), np.sin(examples)], 1)
    distances = np.linalg.norm(q[:, None] - x, axis=2)
    nearest = np.argsort(distances, axis=1)[:, :30]
    reached = np.unique(nearest)
    densities = dict(zip(reached, densities_of(x[reached], 0.1, 30), strict=True))
    near = np.take_along_axis(distances, nearest, 1)
    mass = assigned(near, np.vectorize(densities.get)(nearest), 0.5, 5.0)
    expected = np.zeros(300)
    np.add.at(expected, nearest, mass)
    found = scored(Tsds(target="t", sigma=0.1), vectors(angles), *examples)
    made = found["mass"].fill_null(0).to_numpy()
    assert made == pytest.approx(expected, abs=1e-6)
    assert made.sum() == pytest.approx(1)


def test_order_parts_and_copies_do_not_matter():
    rng = np.random.default_rng(1)
    angles = rng.uniform(0, 6, size=120)
    pool, scorer = vectors(angles), Tsds(target="t", sigma=0.2)
    aim = {"t": target([0.3, 2.0])}
    state = scorer.fit_to_targets([pool], aim)
    mixed = pool.take(rng.permutation(120))
    assert scorer.fit_to_targets([mixed.slice(50), mixed.slice(0, 50)], aim) == state
    alone = pa.concat_tables([scorer(pool.slice(i, 1), state) for i in range(120)])
    assert alone.combine_chunks() == scorer(pool, state).combine_chunks()
    twice = pa.concat_tables([pool, pool.slice(0, 60)])
    both = scorer.fit_to_targets([twice], aim).to_pydict()
    once = dict(zip(*state.to_pydict().values(), strict=True))
    copied = set(pool["sample_id"].to_pylist()[:60])
    for name, mass in zip(*both.values(), strict=True):
        assert mass == pytest.approx(once[name] / (2 if name in copied else 1))


def test_small_and_empty_pools():
    one = scored(Tsds(target="t"), vectors([1.0]), 0.0)
    assert one["mass"].to_pylist() == [1.0]
    assert scored(Tsds(target="t"), vectors([1.0, 2.0]), 0.0)["status"].to_pylist()[0] == "ok"
    none = scored(Tsds(target="t"), vectors([1.0], status=["no_text"]), 0.0)
    assert none["status"].to_pylist() == ["no_text"]


def test_what_does_not_fit():
    scorer = Tsds(target="t")
    without = target([1.0]).set_column(2, "base.status", pa.array(["no_text"]))
    with pytest.raises(DataError, match=r"targets\.t: row 0 has no base\.embedding"):
        scorer.fit_to_targets([vectors([1.0])], {"t": without})
    longer = target([1.0]).set_column(
        0, "base.embedding", pa.array([[1.0, 0, 0]], pa.list_(pa.float32()))
    )
    with pytest.raises(ContractError, match="2 numbers, those of the targets have 3"):
        scorer.fit_to_targets([vectors([1.0])], {"t": longer})
    with pytest.raises(ValueError, match="each once"):
        Tsds(target=[])


def test_contract():
    pool = vectors(np.linspace(0, 3, 30))
    check_scorer(Tsds(target="t", sigma=0.2), pool, {"t": target([0.3, 2.0])})
