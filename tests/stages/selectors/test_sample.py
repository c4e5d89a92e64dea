import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import PlanError
from tamis.scorers.random import gumbel
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.sample import Sample

LISTS = pa.list_(pa.float32())


def pool(scores, **columns):
    n = len(scores)
    made = {"row_id": range(n), "sample_id": [f"{i * 7919 % 100_003:032x}" for i in range(n)]}
    table = pa.table(made | {"a.score": pa.array(scores, pa.float32())})
    for name, values in columns.items():
        table = table.append_column(f"a.{name}", pa.array(values, LISTS))
    return table


def kept(selector, table, limit, cost=None):
    choice = selector(table, Budget(limit, cost))
    return choice.order[: choice.n_kept].tolist()


def test_it_is_the_order_of_score_and_draw():
    table = pool([0.0, 1.0, 2.0, 0.5, 3.0])
    noisy = np.array([0.0, 1.0, 2.0, 0.5, 3.0]) / 2 + gumbel(3, table["sample_id"])
    selector = Sample(by="a.score", temperature=2.0, seed=3)
    assert kept(selector, table, 3) == np.argsort(-noisy)[:3].tolist()


def test_as_many_as_there_are():
    """The published code fails where the budget is the number of rows."""
    table = pool([0.0, 1.0, 2.0])
    assert sorted(kept(Sample(by="a.score", seed=0), table, 3)) == [0, 1, 2]
    assert sorted(kept(Sample(by="a.score", seed=0), table, 99)) == [0, 1, 2]
    both = pool([0.0] * 3, by_target=[[0, 1]] * 3, size_by_target=[[1, 2]] * 3)
    for limit in (3, 99):
        assert sorted(kept(Sample(by="a.by_target", seed=0), both, limit)) == [0, 1, 2]


def test_probabilities():
    """The first row of each draw: in proportion to exp(score)."""
    table, counts = pool([0.0, np.log(2.0), np.log(5.0)]), np.zeros(3)
    for seed in range(4000):
        counts[kept(Sample(by="a.score", seed=seed), table, 1)] += 1
    assert counts / 4000 == pytest.approx([1 / 8, 2 / 8, 5 / 8], abs=0.03)


def test_a_low_temperature_is_the_best_scores():
    table = pool([0.1, 0.5, 0.3, 0.9])
    assert kept(Sample(by="a.score", temperature=1e-4, seed=0), table, 3) == [3, 1, 2]


def test_targets_share_by_size_and_no_row_goes_twice():
    weights = [[9.0, 9.0], [8.0, 8.0], [0.0, 7.0], [7.0, 0.0], [0.0, 6.0], [6.0, 0.0]]
    table = pool([9.0] * 6, by_target=weights, size_by_target=[[10.0, 30.0]] * 6)
    selector = Sample(by="a.by_target", temperature=1e-3, seed=0)
    choice = selector(table, Budget(4))
    assert choice.order[:4].tolist() == [0, 1, 2, 4]
    assert choice.pulled[choice.order[:4]].tolist() == ["target: 0", *["target: 1"] * 3]
    assert kept(Sample(by="a.by_target", shares="equal", temperature=1e-3), table, 4) == [
        *(0, 1, 2, 4)
    ]
    assert kept(Sample(by="a.by_target", shares=[3, 1], temperature=1e-3), table, 4) == [
        *(0, 1, 3, 2)
    ]
    assert kept(Sample(by="a.by_target", shares=[0, 1], temperature=1e-3), table, 2) == [0, 1]


def test_targets_within_a_budget_of_tokens():
    weights = [[9.0, 0.0], [8.0, 0.0], [0.0, 7.0], [0.0, 6.0]]
    table = pool([9.0] * 4, by_target=weights, size_by_target=[[1.0, 1.0]] * 4)
    table = table.append_column("cost", pa.array([3, 3, 5, 1], pa.int32()))
    selector = Sample(by="a.by_target", temperature=1e-3)
    assert kept(selector, table, 10, "cost") == [0, 2]


def test_shares_that_do_not_fit():
    table = pool([0.0] * 2, by_target=[[0, 1]] * 2)
    with pytest.raises(PlanError, match="must be 2 weights, one for each target"):
        kept(Sample(by="a.by_target", shares=[1.0]), table, 1)
    for shares in ([1.0, -1.0], [1.0, float("inf")], [0.0, 0.0], []):  # before anything runs
        with pytest.raises(ValueError, match="finite, not negative and not all 0"):
            Sample(by="a.by_target", shares=shares)


def test_with_replacement():
    table = pool([0.0, np.log(3.0), -30.0, 1.0])
    choice = Sample(by="a.score", replacement=True, seed=1)(table, Budget(1000))
    assert choice.n_kept == 3
    times = [int(text.partition(": ")[2]) for text in choice.pulled]
    assert sum(times) == 1000
    share = np.array([1.0, 3.0, 0.0, np.e]) / (4 + np.e)
    assert np.array(times) / 1000 == pytest.approx(share, abs=0.05)
    assert choice.reason[2] == "not drawn"
    backwards = Sample(by="a.score", replacement=True, seed=1)(table.take([3, 2, 1, 0]), Budget(9))
    forwards = Sample(by="a.score", replacement=True, seed=1)(table, Budget(9))
    assert forwards.pulled.tolist() == backwards.pulled.tolist()[::-1]
    with pytest.raises(PlanError, match="how often is drawn"):
        Sample(by="a.score", replacement=True)(table, Budget(9, "cost"))


def test_settings():
    with pytest.raises(ValueError, match="replacement belongs to a single score"):
        Sample(by="a.by_target", replacement=True)
    with pytest.raises(ValueError, match="shares belongs to a list"):
        Sample(by="a.score", shares="equal")


def test_contract():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(9, 2)).tolist()
    table = pool(rng.normal(size=9), by_target=weights, size_by_target=[[2, 1]] * 9)
    for selector in (
        Sample(by="a.score", seed=1),
        Sample(by="a.score", replacement=True, seed=1),
        Sample(by="a.by_target", seed=1),
    ):
        check_selector(selector, table.select(["row_id", "sample_id", *selector.reads.names]), 4)
