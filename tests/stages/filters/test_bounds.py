import pyarrow as pa
import pytest
from pydantic import ValidationError
from tamis.errors import DataError
from tamis.stages.checks import check_stage
from tamis.stages.filters.bounds import Bounds
from tamis.stages.judge import Judge

ROWS = pa.table({"x.tokens": pa.array([2, 3, 10, 11, None], pa.int32())})


def test_bounds_are_inside():
    found = Bounds(column="x.tokens", at_least=3, at_most=10)(ROWS)
    assert found.to_pydict() == {
        "reason": ["too_low: 2 is under 3", None, None, "too_high: 11 is over 10", "no_number"],
        "value": [2, 3, 10, 11, None],
    }


def test_one_bound_and_rows_without_a_number():
    found = Bounds(column="x.tokens", at_most=3, missing="keep")(ROWS)
    assert [bool(reason) for reason in found["reason"].to_pylist()] == [0, 0, 1, 1, 0]


def test_text_that_spells_a_number():
    rows = pa.table({"data.rating": ["4.5", " 2 ", "good", "nan", None]})
    found = Bounds(column="data.rating", at_least=3)(rows)
    assert found["reason"].to_pylist() == [
        None, "too_low: 2 is under 3", "no_number", "no_number", "no_number",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "give at_least or at_most"),
        ({"at_least": 3, "at_most": 2}, "at_least is 3, and at_most only 2"),
        ({"at_least": float("nan")}, "finite"),
    ],
)
def test_mistakes(fields, said):
    with pytest.raises(ValidationError, match=said):
        Bounds(column="x.tokens", **fields)


def test_a_column_of_lists_is_a_mistake():
    rows = pa.table({"data.tags": [["a"], ["b"]]})
    with pytest.raises(DataError, match=r"data.tags is list<"):
        Bounds(column="data.tags", at_least=1, missing="keep")(rows)


def test_contract():
    check_stage(Judge(filter=Bounds(column="x.tokens", at_least=3)), ROWS)
