import numpy as np
import pyarrow as pa
import pytest
from tamis.pipeline.verdict import why_of
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.representatives import Representatives

POOL = pa.table(
    {
        "row_id": [10, 11, 12, 13, 14, 15],
        "sample_id": list("fedcba"),
        "exact.group": ["x", "y", "x", "x", None, None],
        "long.score": pa.array([1, 5, 3, 2, 9, 0], pa.float32()),
    }
)


def chosen(pool=POOL, **fields):
    choice = Representatives(column="exact.group", **fields)(pool, Budget(2))
    ids = pool["row_id"].to_numpy()
    reasons = dict(zip(ids.tolist(), choice.reason, strict=True))
    return ids[choice.order[: choice.n_kept]].tolist(), reasons, choice


def test_the_first_of_each_group():
    kept, reasons, choice = chosen()
    assert kept == [10, 11, 14, 15]
    assert reasons[12] == reasons[13] == "duplicate: row 10"
    assert np.isnan(choice.margin).all() and choice.worth is None


def test_the_best_of_each_group():
    kept, reasons, choice = chosen(by="long.score")
    assert kept == [14, 11, 12, 15]
    assert reasons[10] == reasons[13] == "duplicate: row 12"
    assert choice.margin.tolist() == [-2, np.inf, 1, -1, np.inf, np.inf]


def test_two_of_each_group():
    kept, reasons, choice = chosen(by="long.score", each=2)
    assert kept == [14, 11, 12, 13, 15]
    assert reasons[10] == "duplicate: row 12"
    assert choice.margin.tolist() == [-1, np.inf, 2, 1, np.inf, np.inf]


def test_ties_go_by_content_then_place():
    tied = POOL.set_column(3, "long.score", pa.array([1] * 6, pa.float32()))
    assert chosen(tied, by="long.score")[0] == [15, 14, 13, 11]
    copies = tied.set_column(1, "sample_id", pa.array(["s"] * 6))
    assert chosen(copies, by="long.score")[0] == [10, 11, 14, 15]


def test_numbers_name_groups_too():
    pool = POOL.set_column(2, "exact.group", pa.array([0, 1, 0, 0, 1, None], pa.int32()))
    assert chosen(pool)[0] == [10, 11, 15]


@pytest.mark.parametrize("fields", [{}, {"by": "long.score"}, {"by": "long.score", "each": 2}])
def test_promises(fields):
    check_selector(Representatives(column="exact.group", **fields), POOL)


def test_in_words():
    _, reasons, _choice = chosen()
    said = why_of(Representatives(column="exact.group"), reasons[12], is_kept=False)
    assert said == "duplicate: row 10: row 10 of the same group comes before it and passes"
