import numpy as np
import pyarrow as pa
from tamis.scorers.checks import check_scorer
from tamis.scorers.random import Random, bits, gumbel, uniform


def rows(n=50):
    return pa.table({"sample_id": [f"{i:032x}" for i in range(n)]})


def test_draws_are_fixed_by_seed_and_content():
    assert uniform(0, rows(3)["sample_id"]).tolist() == [
        0.2562471628189087,
        0.692626416683197,
        0.1101679801940918,
    ]


def test_another_seed_gives_other_draws():
    first, second = (Random(seed=seed)(rows())["score"].to_numpy() for seed in (1, 2))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.4


def test_uniform_over_the_unit_interval():
    draws = uniform(7, rows(20_000)["sample_id"])
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.histogram(draws, 10, (0, 1))[0]
    assert abs(counts - 2000).max() < 5 * np.sqrt(2000)


def test_same_content_same_draw():
    table = pa.table({"sample_id": ["a", "b", "a"]})
    found = Random(seed=3)(table)["score"].to_pylist()
    assert found[0] == found[2] != found[1]


def test_bits_are_the_draw_and_more():
    ids = rows(9)["sample_id"]
    assert bits(2, ids).dtype == np.uint64
    assert ((bits(2, ids) >> np.uint64(40)) / 2**24).tolist() == uniform(2, ids).tolist()
    assert (bits(2, ids) != bits(3, ids)).all()


def test_contract():
    check_scorer(Random(seed=5), rows())


def test_gumbel_draws_in_proportion_to_the_weights():
    """Weights e, e^2, e^3: probabilities .090031, .244728 and .665241."""
    first, logs = np.zeros(3), np.arange(1, 4)
    for seed in range(3000):
        first[np.argmax(logs + gumbel(seed, rows(3)["sample_id"]))] += 1
    np.testing.assert_allclose(first / 3000, [0.090031, 0.244728, 0.665241], atol=0.03)


def test_gumbel_distribution():
    """Its mean is Euler's constant, its variance pi^2 / 6."""
    draws = gumbel(7, rows(20_000)["sample_id"])
    assert np.isfinite(draws).all()
    assert abs(draws.mean() - 0.5772) < 5 * 1.2825 / np.sqrt(20_000)
    assert abs(draws.var() - np.pi**2 / 6) < 0.1
