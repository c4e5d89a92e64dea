import pyarrow as pa
import pytest
from tamis.errors import DataError
from tamis.scorers.checks import check_scorer
from tamis.scorers.column import Column
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.threshold import Threshold


def score(values, **fields):
    rows = pa.table({"data.rating": values})
    scorer = Column(column="data.rating", **fields)
    found = scorer(rows, scorer.fit([rows]) if scorer.fits_pool else None)
    return found["score"].to_pylist(), found["status"].to_pylist()


def test_numbers_of_any_kind():
    for values in ([1, 2], [1.0, 2.0], ["1", " 2.0e0 "], ["+1", "2."]):
        assert score(values) == ([1.0, 2.0], ["ok", "ok"])
    assert score([True, False])[0] == [1.0, 0.0]


def test_what_is_not_a_number_has_a_status():
    assert score(["4.5", "n/a", None, ""]) == (
        [4.5, None, None, None],
        ["ok", "not_a_number", "not_a_number", "not_a_number"],
    )
    assert score([[1], [2]])[1] == ["not_a_number"] * 2
    assert score([float("nan"), float("inf")])[1] == ["not_a_number"] * 2


def test_preferences():
    assert score([1, 5, 3], prefer="low")[0] == [-1, -5, -3]
    assert score([1, 5, 3], prefer="middle")[0][2] == 0


@pytest.mark.parametrize("prefer", ["high", "low", "middle"])
def test_contract(prefer):
    check_scorer(Column(column="x", prefer=prefer), pa.table({"x": ["1", "b", "3"]}))


def test_truth_values_count_the_same_as_their_text():
    truth = pa.table({"data.x": [True, False, None]})
    text = pa.table({"data.x": ["true", "false", None]})
    assert Column(column="data.x")(truth).equals(Column(column="data.x")(text))


def test_whole_numbers_that_a_score_cannot_tell_apart_are_refused():
    with pytest.raises(DataError, match=r"whole numbers such as 1700000037, .* up to 16777216"):
        score([1_700_000_000, 1_700_000_037])
    assert score([2**53 + 2**30, 1 << 24])[0] == [2.0**53 + 2**30, 2.0**24]
    big = [2**60 + 1, 2**60 + 3, 2**60 + 2**40]
    assert score(big, prefer="middle")[1] == ["ok"] * 3


def test_an_input_column_called_status_is_no_status_of_ours():
    rows = pa.table({"data.status": pa.array([1, 0], pa.int64())})
    assert Column(column="data.status")(rows)["status"].to_pylist() == ["ok", "ok"]


def test_a_reply_that_could_not_be_read_is_no_low_rating():
    """AlpaGasus: its published parser makes such a reply a -1, which any threshold may compare."""
    rows = pa.table(
        {
            "row_id": range(4),
            "sample_id": list("abcd"),
            "judge.rating": pa.array([4.5, None, 3.0, None], pa.float32()),
            "judge.status": ["ok", "unparsable", "ok", "refused"],
        }
    )
    scorer = Column(column="judge.rating")
    found = scorer(rows.select(scorer.reads.names))
    assert found["score"].to_pylist() == [4.5, None, 3.0, None]
    assert found["status"].to_pylist() == ["ok", "unparsable", "ok", "refused"]
    pool = rows.append_column("j.score", found["score"]).filter(found["score"].is_valid())
    choice = Threshold(by="j.score", at_least=4.5)(pool, Budget(4))
    assert choice.order[: choice.n_kept].tolist() == [0]
    assert Threshold(by="j.score", at_least=-2)(pool, Budget(4)).n_kept == 2
