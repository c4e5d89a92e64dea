from typing import final

import pyarrow as pa
import pytest
from tamis.errors import ContractError
from tamis.scorers.base import Scorer, floats, row_status


@final
class Given(Scorer):
    values: object = None

    @property
    def reads(self):
        return pa.schema([("base.status", pa.string())])

    def score(self, rows, fitted=None):
        return self.values


def rows(*status):
    return pa.table({"base.status": pa.array(status, pa.string())})


def test_no_number_without_a_good_status_and_no_status_without_a_number():
    values = pa.array([1.0, 2.0, 3.0, None, float("nan"), 1e300])
    found = Given(values=values)(rows("ok", "truncated", "bad", "ok", "ok", "ok"))
    assert found["score"].to_pylist() == [1.0, 2.0, None, None, None, None]
    status = found["status"].to_pylist()
    assert status == ["ok", "truncated", "bad", "undefined", "undefined", "undefined"]
    assert found["score"].type == pa.float32()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array([1, 2]), "int64"),
        (pa.array([1.0]), "1 values for 2 rows"),
        ([1.0, 2.0], "list"),
        (None, "NoneType"),
    ],
)
def test_a_broken_promise_is_named(values, message):
    with pytest.raises(ContractError, match=message):
        Given(values=values)(rows("ok", "ok"))


def test_the_worst_status_wins():
    table = pa.table(
        {
            "a.status": ["ok", "ok", "truncated", "bad", "truncated"],
            "b.status": ["ok", "truncated", "worse", "truncated", "ok"],
        }
    )
    assert row_status(table).to_pylist() == ["ok", "truncated", "worse", "bad", "truncated"]


def test_floats_of_nulls_are_nan():
    found = floats(pa.table({"x": pa.array([1, None], pa.int32())}), "x")
    assert found[0] == 1
    assert found[1] != found[1]


def test_parameters_are_frozen_and_known():
    with pytest.raises(ValueError, match="frozen"):
        Given().values = 1
    with pytest.raises(ValueError, match="extra"):
        Given(valeus=1)


def test_a_row_that_took_no_part_in_a_pass_has_the_status_that_says_why():
    table = pa.table(
        {
            "base.given.status": pa.array([None, "ok", None], pa.string()),
            "base.status": ["no_room", "truncated", "ok"],
        }
    )
    assert row_status(table).to_pylist() == ["no_room", "truncated", "ok"]
