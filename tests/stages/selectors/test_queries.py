import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError, PlanError
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.queries import Spending, best_first, choose, list_schema, numbers

GOLDEN_B = np.array([[0.9, 0.8, 0.75, 0.1], [0.2, 0.1, 0.3, 0.4]], np.float32)  # queries x rows


def pool(sims, **columns):
    """A pool whose rows have one number per query; `sims` is (queries, rows)."""
    n = np.shape(sims)[1]
    table = {
        "row_id": range(n),
        "sample_id": [f"{i:06d}" for i in range(n)],
        "rds.score": pa.array(np.max(sims, 0), pa.float32()),
        "rds.by_query": pa.array(np.transpose(sims).tolist(), pa.list_(pa.float32())),
    }
    return pa.table({**table, **columns})


def kept(selector, table, limit, cost=None):
    choice = selector(table, Budget(limit, cost))
    rows = choice.order[: choice.n_kept]
    return rows.tolist(), [choice.pulled[row] for row in rows]


def test_best_first_by_hand_and_ties_in_order():
    assert best_first(GOLDEN_B.T, 3).tolist() == [[0, 1, 2], [3, 2, 0]]
    ties = np.array([[1, 2, 2, 0, 2, 1]], np.float32).T
    for depth in range(7):
        assert best_first(ties, depth).tolist() == [[1, 2, 4, 0, 5, 3][:depth]]


def test_numbers():
    table = pool(GOLDEN_B)
    assert np.array_equal(numbers(table, "rds.by_query"), GOLDEN_B.T)
    assert numbers(table.slice(1, 2), "rds.by_query").shape == (2, 2)
    assert numbers(table.slice(0, 0), "rds.by_query").shape == (0, 0)
    for lists in ([[1.0], [1.0, 2.0]], [[1.0], None]):
        uneven = pa.table({"a.x": pa.array(lists, pa.list_(pa.float32()))})
        with pytest.raises(ContractError, match="as many numbers in every row"):
            numbers(uneven, "a.x")


def test_a_row_without_a_score_does_not_reach_the_selector():
    assert list_schema("rds.by_query").names == ["rds.by_query", "rds.score"]


def test_no_queries():
    table = pool(np.zeros((1, 2)), **{"a.x": pa.array([[], []], pa.list_(pa.float32()))})
    with pytest.raises(PlanError, match="no number in any row"):
        choose(table, "a.x", Budget(1), lambda *_: None)


def test_spending():
    spending = Spending(np.array([2, 3, 1]), 5)
    assert [spending.spend(row) for row in (0, 1, 2)] == [True, True, False]
