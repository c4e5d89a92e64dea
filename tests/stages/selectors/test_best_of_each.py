import numpy as np
import pyarrow as pa
import pytest
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.best_of_each import BestOfEach


def pool_of(values, labels, **columns):
    n = len(values)
    table = {
        "row_id": range(n),
        "sample_id": [f"{i:04x}" for i in range(n)],
        "s.score": pa.array(values, pa.float32()),
        "clusters.label": pa.array(labels, pa.int32()),
    }
    return pa.table(table | columns)


POOL = pool_of([9, 8, 7, 6, 5, 4, 3], [0, 0, 0, 1, 1, 2, None])


def kept(limit, cost=None, **fields):
    choice = BestOfEach(by="s.score", **fields)(POOL, Budget(limit, cost))
    return choice.order[: choice.n_kept].tolist()


def test_by_hand():
    """The best of the three clusters are 0, 3 and 5; then 1 and 2 by score."""
    assert kept(5) == [0, 3, 5, 1, 2]
    assert kept(2) == [0, 3]
    assert kept(7) == [0, 3, 5, 1, 2, 4, 6]
    assert kept(5, each=2) == [0, 1, 3, 4, 5]


def test_margins_and_reasons():
    choice = BestOfEach(by="s.score")(POOL, Budget(4))
    expected = [f"best of its group: {label}" for label in (0, 1, 2)]
    assert choice.pulled[[0, 3, 5, 1]].tolist() == [*expected, ""]
    assert choice.margin.tolist() == [1, 0, -1, 1, -3, np.inf, -5]


def car(values, labels, n_best):
    """As published: the best so many by score, and the best of each cluster."""
    order = np.argsort(-values, kind="stable")
    chosen = set(order[:n_best].tolist())
    for label in set(labels.tolist()):
        chosen.add(int(next(row for row in order if labels[row] == label)))
    return chosen


@pytest.mark.parametrize("n_best", [0, 1, 10, 60])
def test_equals_car_of_the_same_size(n_best):
    rng = np.random.default_rng(0)
    values, labels = rng.permutation(100).astype(np.float64), rng.integers(0, 7, 100)
    expected = car(values, labels, n_best)
    choice = BestOfEach(by="s.score")(pool_of(values, labels), Budget(len(expected)))
    assert set(choice.order[: choice.n_kept].tolist()) == expected


def test_lists_and_numbers_that_are_none():
    table = POOL.append_column("tags", pa.array([["a"], ["a"], ["b"], None, ["b"], None, ["a"]]))
    table = table.append_column("nan", pa.array([float("nan")] * 5 + [1.0, 1.0]))
    choice = BestOfEach(by="s.score", column="tags")(table, Budget(2))
    assert choice.order[: choice.n_kept].tolist() == [0, 2]
    assert choice.pulled[2] == 'best of its group: ["b"]'
    choice = BestOfEach(by="s.score", column="nan")(table, Budget(3))
    assert choice.order[: choice.n_kept].tolist() == [5, 0, 1]


def test_contract():
    check_selector(BestOfEach(by="s.score"), POOL, 4)
