import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tamis.errors import PlanError
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.quota import Quota, split

POOL = pa.table(
    {
        "row_id": range(10),
        "sample_id": list("abcdefghij"),
        "source": ["x"] * 6 + ["y"] * 3 + ["z"],
        "data.kind": ["p", "q", None, "p", "q", None, "p", "q", None, "p"],
        "s.score": pa.array([0.1 * i for i in range(10)], pa.float32()),
        "tokens": pa.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], pa.int32()),
    }
)


def kept(budget=None, **fields):
    choice = Quota(by="s.score", **fields)(POOL, budget or Budget(5))
    return choice.order[: choice.n_kept].tolist()


def test_shares():
    assert kept() == [8, 7, 5, 4, 3]  # 3, 1.5, .5: the halves tie, and go by name
    assert kept(shares="equal") == [9, 8, 7, 5, 4]
    assert kept(shares={"y": 1}) == [8, 7, 6]
    assert kept(shares={"x": 4, "y": 1}) == [8, 5, 4, 3, 2]


def test_a_row_without_a_group_is_a_group():
    assert kept(column="data.kind", budget=Budget(3), shares="equal") == [9, 8, 7]


def test_budget_in_tokens():
    chosen = kept(shares="equal", budget=Budget(30, "tokens"))
    assert chosen == [9, 8, 5, 4] or sum(i + 1 for i in chosen) <= 30


def test_reasons_and_margins_are_those_of_the_group():
    choice = Quota(by="s.score", shares="equal")(POOL, Budget(5))
    assert choice.reason[0] == "over the quota of x"
    assert choice.margin[[0, 5, 6]].round(5).tolist() == [-0.4, 0.1, -0.1]


def test_weights_must_make_sense():
    for shares in ({"x": -1, "y": 2}, {"x": 0}):
        with pytest.raises(ValueError, match="weights"):
            Quota(by="s.score", shares=shares)


@pytest.mark.parametrize("column", ["source", "data.kind"])
def test_contract(column):
    check_selector(Quota(by="s.score", column=column), POOL)


def test_small_sources_give_what_they_cannot_fill():
    """Sources of 5, 20 and 100 rows, equal shares of 60."""
    quotas = split(60, np.ones(3), np.array([5, 20, 100]))
    assert quotas.tolist() == [5, 20, 35]


@given(
    st.integers(0, 500),
    st.lists(st.tuples(st.floats(0, 10), st.integers(0, 60)), min_size=1, max_size=8),
)
def test_quotas_use_all_that_fits(total, groups):
    weights, capacity = (np.array(x) for x in zip(*groups, strict=True))
    quotas = split(total, weights, capacity)
    assert (quotas >= 0).all()
    assert (quotas <= capacity).all()
    assert quotas.sum() == min(total, capacity[weights > 0].sum())


def test_shares_name_groups_that_there_are(caplog):
    table = pa.table(
        {
            "row_id": range(4),
            "sample_id": list("abcd"),
            "source": list("xxyy"),
            "s.score": pa.array([1.0, 2, 3, 4], pa.float32()),
        }
    )
    with pytest.raises(PlanError, match="no row has a source of the shares; there are x, y"):
        Quota(by="s.score", shares={"z": 1.0})(table, Budget(2))
    assert Quota(by="s.score", shares={"x": 1.0, "z": 1.0})(table, Budget(2)).n_kept == 2
    assert "no row left has the source z" in caplog.text
    with pytest.raises(ValueError, match="weights must be finite"):
        Quota(by="s.score", shares={"x": float("inf")})
