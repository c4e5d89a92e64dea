import numpy as np
import pyarrow as pa
import pytest
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.turns import in_turn

POOL = pa.table({"row_id": range(6), "sample_id": list("fedcba"), "tokens": [1] * 6})
STATUS = pa.array(["ok", "ok", "empty", "ok", "ok", "ok"])
USABLE = np.array([5, 4, 3])  # by sample_id; 1 is a copy, and 0 and 2 have no vector
TURNS = np.array([1, 0]), np.array([0.5, 2.0, 0.25], np.float32)


@pytest.mark.parametrize(("limit", "n_kept"), [(1, 1), (3, 3), (6, 4)])
def test_order_by_hand(limit, n_kept):
    choice = in_turn(POOL, Budget(limit), USABLE, TURNS, STATUS, np.array([1]))
    assert choice.order.tolist() == [4, 5, 3, 1, 2, 0]
    assert choice.n_kept == n_kept
    assert choice.reason[[0, 1, 2]].tolist() == ["no_vector", "over budget", "empty"]
    assert choice.worth[[4, 5, 3, 1]].tolist() == [2.0, 0.5, 0.25, 0.0]
    assert np.isnan(choice.worth[[0, 2]]).all()


def test_without_copies_and_without_anything():
    choice = in_turn(POOL, Budget(9), USABLE, TURNS, STATUS)
    assert (choice.n_kept, choice.order.tolist()) == (3, [4, 5, 3, 2, 1, 0])
    nothing = np.zeros(0, np.int64), np.zeros(0, np.float32)
    empty = in_turn(POOL.slice(0, 0), Budget(2), nothing[0], nothing, STATUS.slice(0, 0))
    assert (empty.n_kept, len(empty.order)) == (0, 0)
