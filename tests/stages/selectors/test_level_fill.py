import numpy as np
import pyarrow as pa
import pytest
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import OVER_BUDGET, Budget
from tamis.stages.selectors.level_fill import LevelFill


def pool_of(levels, tails, **columns):
    n = len(levels)
    table = {
        "row_id": range(n),
        "sample_id": [f"{i:04x}" for i in range(n)],
        "ds2.score": pa.array(levels, pa.float32()),
        "ds2.long_tail": pa.array(tails, pa.float32()),
    }
    return pa.table(table | columns)


POOL = pool_of([5, 5, 4, 4, 4], [0.2, 0.1, 0.1, 0.5, 0.3])


def kept(limit):
    choice = LevelFill()(POOL, Budget(limit))
    return choice.order[: choice.n_kept].tolist()


def test_by_hand():
    """Two rows of 5 fit as a whole; of the three of 4 the one with the largest long tail."""
    assert kept(3) == [0, 1, 3]
    assert kept(1) == [0]
    assert kept(4) == [0, 1, 3, 4]
    assert sorted(kept(5)) == [0, 1, 2, 3, 4]


def test_margins_and_reasons():
    choice = LevelFill()(POOL, Budget(3))
    assert choice.margin == pytest.approx([1, 1, -0.4, 0, -0.2], abs=1e-6)
    assert choice.reason[2] == "level is full: 4"
    choice = LevelFill()(POOL, Budget(1))
    assert choice.reason.tolist() == ["level is full: 5"] * 2 + [OVER_BUDGET] * 3


def test_a_row_without_the_second_number_is_the_last_of_its_level():
    choice = LevelFill()(pool_of([5, 5, 4], [None, 0.1, 0.9]), Budget(1))
    assert choice.order.tolist() == [1, 0, 2]
    assert np.isnan(choice.margin[0])


def test_budget_in_tokens():
    pool = pool_of([5, 4, 4], [0.1, 0.2, 0.3], tokens=pa.array([4, 3, 5], pa.int32()))
    choice = LevelFill()(pool, Budget(9, "tokens"))
    assert choice.order[: choice.n_kept].tolist() == [0, 2]
    assert LevelFill()(pool, Budget(3, "tokens")).n_kept == 0


def test_contract():
    rng = np.random.default_rng(0)
    check_selector(LevelFill(), pool_of(rng.integers(0, 3, 40), rng.random(40)))
