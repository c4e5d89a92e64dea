import numpy as np
import pyarrow as pa
from tamis.stages.selectors.base import Budget, by_score, cut, score_schema

POOL = pa.table(
    {
        "row_id": [0, 1, 2, 3],
        "sample_id": ["d", "b", "b", "a"],
        "s.score": pa.array([1.0, 2.0, 2.0, 2.0], pa.float32()),
        "tokens": pa.array([5, None, 3, 2], pa.int32()),
    }
)


def test_ties_go_by_sample_then_row():
    assert by_score(POOL, "s.score").tolist() == [3, 1, 2, 0]


def test_budgets_in_rows_and_tokens():
    order = np.array([3, 2, 0, 1])
    assert Budget(3).fits(POOL, order) == 3
    assert Budget(9).fits(POOL, order) == 4
    assert Budget(5, "tokens").fits(POOL, order) == 2
    assert Budget(4, "tokens").fits(POOL, order) == 1
    assert Budget(10, "tokens").fits(POOL, order) == 4  # a row without a count costs nothing
    assert Budget(1, "tokens").fits(POOL, order) == 0


def test_margins_are_to_the_last_kept():
    values = np.array([1.0, 4.0, 2.0])
    choice = cut(np.array([1, 2, 0]), 2, values)
    assert choice.margin.tolist() == [-1, 2, 0]
    assert choice.reason.tolist() == ["over budget"] * 3
    assert cut(np.array([1, 2, 0]), 0, values).margin.tolist() == [-np.inf] * 3


def test_score_schema():
    assert score_schema("a.score").field("a.score").type == pa.float32()
