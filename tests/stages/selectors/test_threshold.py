import pyarrow as pa
import pytest
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.threshold import Threshold

POOL = pa.table(
    {
        "row_id": range(4),
        "sample_id": list("abcd"),
        "s.score": pa.array([0.5, 1.0, 1.5, 0.25], pa.float32()),
    }
)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"below": 1.0}, [0, 3]),
        ({"at_most": 1.0}, [1, 0, 3]),
        ({"above": 0.5}, [2, 1]),
        ({"at_least": 0.5}, [2, 1, 0]),
        ({"above": 0.25, "below": 1.5}, [1, 0]),
        ({"above": 9.0}, []),
    ],
)
def test_bounds(bounds, expected):
    """A value of exactly 1 is kept by Cherry's rule (at most) and dropped by Superfiltering's."""
    choice = Threshold(by="s.score", **bounds)(POOL, Budget(1))
    assert choice.order[: choice.n_kept].tolist() == expected


def test_reasons_and_margins():
    choice = Threshold(by="s.score", above=0.4, below=1.0)(POOL, Budget(1))
    assert choice.reason.tolist() == [
        "",
        "s.score not below 1",
        "s.score not below 1",
        "s.score not above 0.4",
    ]
    assert choice.margin.round(6).tolist() == [0.1, 0.0, -0.5, -0.15]


def test_needs_a_bound():
    with pytest.raises(ValueError, match="at least one of"):
        Threshold(by="s.score")


def test_contract():
    check_selector(Threshold(by="s.score", below=1.0), POOL)


def test_a_bound_is_as_exact_as_the_scores():
    values = pa.array([0.7, 0.1, 0.69], pa.float32())
    table = pa.table({"row_id": range(3), "sample_id": list("abc"), "s.score": values})
    assert Threshold(by="s.score", at_least=0.7)(table, Budget(9)).n_kept == 1
    assert Threshold(by="s.score", above=0.1)(table, Budget(9)).n_kept == 2
