import pyarrow as pa
import pytest
from tamis.scorers.checks import check_scorer
from tamis.scorers.weighted_sum import WeightedSum


def found(columns, **data):
    return WeightedSum(columns=columns)(pa.table(data)).to_pydict()


def test_sum_of_criteria():
    table = {
        "judge.criteria.accuracy": [5.0, 3.0, None],
        "judge.criteria.coherence": [4.0, 3.0, 2.0],
        "judge.status": ["ok", "ok", "unparsable"],
    }
    columns = ["judge.criteria.accuracy", "judge.criteria.coherence"]
    assert found(columns, **table) == {
        "score": [9.0, 6.0, None],
        "status": ["ok", "ok", "unparsable"],
    }


def test_gap_of_two_judges():
    """CodecLM: 9 for the strong answer and 4 for the target's is a gap of 5; equal ones, of 0."""
    gap = {"data.strong": 1, "data.target": -1}
    table = {"data.strong": [9, 7, 8, None], "data.target": ["4", "7", "9", "1"]}
    assert found(gap, **table) == {
        "score": [5.0, 0.0, -1.0, None],
        "status": ["ok", "ok", "ok", "no_rating"],
    }


@pytest.mark.parametrize(
    "columns", [[], {}, ["data.a", "data.a"], {"data.a": float("inf")}], ids=str
)
def test_what_is_no_sum(columns):
    with pytest.raises(ValueError, match=r"at least 1|finite|there twice"):
        WeightedSum(columns=columns)


@pytest.mark.parametrize("columns", [["data.a", "data.b"], {"data.a": 2.0, "data.b": -0.5}])
def test_contract(columns):
    table = pa.table({"data.a": [1.0, 2.5, None], "data.b": ["3", "x", "1"]})
    check_scorer(WeightedSum(columns=columns), table)
