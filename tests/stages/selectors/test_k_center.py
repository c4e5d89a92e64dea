import numpy as np
import pyarrow as pa
import pytest
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.k_center import KCenter, farthest_first
from tamis.stages.selectors.queries import Spending


def pool_of(vectors, status=None, ids=None):
    n = len(vectors)
    return pa.table(
        {
            "row_id": range(n),
            "sample_id": ids or [f"{i:04x}" for i in range(n)],
            "e.embedding": pa.array(vectors, pa.list_(pa.float32())),
            "e.given.status": pa.array(["ok"] * n, pa.string()),
            "e.status": pa.array(status or ["ok"] * n, pa.string()),
            "tokens": pa.array([10] * n, pa.int32()),
        }
    )


LINE = pool_of([[0.0], [1.0], [5.0], [6.0], [10.0]])


def kept(pool, limit, cost=None, **fields):
    choice = KCenter(of="e.embedding", **fields)(pool, Budget(limit, cost))
    return choice.order[: choice.n_kept].tolist()


def test_golden_line():
    """0, 1, 5, 6, 10 from 0 on: 10 is farthest, then 5 (5 from both)."""
    choice = KCenter(of="e.embedding", unit=False)(LINE, Budget(3))
    assert LINE["e.embedding"].take(choice.order[:3]).to_pylist() == [[0], [10], [5]]
    assert choice.worth.tolist() == [np.inf, 1, 5, 1, 10]
    assert choice.margin.tolist() == [np.inf, -4, 0, -4, 5]
    assert choice.order.tolist() == [0, 4, 2, 1, 3]
    assert set(choice.reason[[1, 3]]) == {"over budget"}


def test_equals_the_plain_procedure():
    vectors = np.random.default_rng(0).normal(size=(80, 5))
    picks, _ = farthest_first(vectors, Spending(np.ones(80, np.int64), 30))
    chosen = [0]
    while len(chosen) < 31:
        apart = np.linalg.norm(vectors[:, None] - vectors[chosen], axis=2).min(1)
        chosen.append(int(apart.argmax()))
    assert picks.tolist() == chosen


def test_unit_vectors_go_by_the_angle():
    pool = pool_of([[1.0, 0], [9.0, 1.0], [0, 0.2]])
    assert kept(pool, 2) == [0, 2]
    assert kept(pool, 2, unit=False) == [0, 1]


def test_copies_come_last():
    pool = pool_of([[1.0, 0], [1.0, 0], [0, 1], [0.6, 0.8]], ids=["a", "a", "b", "c"])
    choice = KCenter(of="e.embedding")(pool, Budget(4))
    assert choice.order.tolist() == [0, 2, 3, 1]
    assert choice.worth[1] == 0


def test_rows_without_a_vector_are_never_kept():
    pool = pool_of([[1.0, 0], None, [0, 1], [1, 1]], ["ok", "ok", "not_finite", "truncated"])
    choice = KCenter(of="e.embedding")(pool, Budget(4))
    assert choice.order[: choice.n_kept].tolist() == [0, 3]
    assert choice.reason[[1, 2]].tolist() == ["no_vector", "not_finite"]


def test_budget_in_tokens():
    assert kept(LINE, 25, "tokens", unit=False) == [0, 4]


def test_settings():
    with pytest.raises(ValueError, match="must be the column of a signal"):
        KCenter(of="data.v")


def test_contract():
    vectors = np.random.default_rng(0).normal(size=(40, 3)).tolist()
    check_selector(KCenter(of="e.embedding"), pool_of([*vectors, None]), 7)
    check_selector(KCenter(of="e.embedding"), pool_of([None, None]))
