from typing import final

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tamis.errors import ContractError
from tamis.stages.filters.base import Filter

ROWS = pa.table({"x.value": [1.0, -1.0, -2.0], "x.status": ["ok", "truncated", "too_long"]})
MEASURED = pa.schema([("value", pa.float32())])


@final
class Negative(Filter):
    @property
    def reads(self):
        return ROWS.schema

    @property
    def details(self):
        return MEASURED

    def judge(self, rows, fitted=None):
        values = rows["x.value"]
        reason = pc.if_else(pc.less(values, 0), "negative", None)
        return pa.table({"reason": reason, "value": values.cast(pa.float32())})


class Broken(Filter):
    gives: dict[str, list[object]]

    @property
    def reads(self):
        return ROWS.schema

    @property
    def details(self):
        return MEASURED

    def judge(self, rows, fitted=None):
        return pa.table(self.gives)


def test_a_row_without_a_number_is_dropped_for_its_status():
    assert Negative()(ROWS).to_pydict() == {
        "reason": [None, "negative", "too_long"],
        "value": [1.0, -1.0, None],
    }


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        ({"reason": ["a"], "value": [1.0]}, "a line for each row"),
        ({"reason": ["a"] * 3}, r"gave \['reason'\], promised \['reason', 'value'\]"),
        ({"reason": [1, 2, 3], "value": [1.0] * 3}, "reason: int64"),
    ],
)
def test_a_broken_promise_is_said(gives, said):
    with pytest.raises(ContractError, match=said):
        Broken(gives=gives)(ROWS)


def test_two_details_of_one_name():
    class Twice(Broken):
        @property
        def details(self):
            return pa.schema([("reason", pa.string())])

    with pytest.raises(ContractError, match="names of their own"):
        Twice(gives={})(ROWS)
