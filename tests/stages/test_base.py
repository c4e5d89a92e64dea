from typing import final

import pyarrow as pa
import pytest
from tamis.errors import ContractError
from tamis.stages.base import Stage, plain_json, resolve_device


@final
class Given(Stage):
    table: object = None

    @property
    def reads(self):
        return pa.schema([])

    @property
    def adds(self):
        return pa.schema([("a", pa.int32()), ("b", pa.string())])

    def run(self, rows, wanted):
        return self.table


ROWS = pa.table({"x": [1, 2]})


def test_columns_come_in_the_order_wanted():
    table = pa.table({"b": ["x", "y"], "a": pa.array([1, 2], pa.int32())})
    assert Given(table=table)(ROWS, ["a", "b"]).column_names == ["a", "b"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"a": pa.array([1], pa.int32())}), "1 rows for 2"),
        (pa.table({"c": [1, 2]}), r"\['c'\], wanted \['a'\]"),
        (pa.table({"a": [1, 2]}), "int64"),
    ],
)
def test_a_broken_promise_is_named(table, message):
    with pytest.raises(ContractError, match=message):
        Given(table=table)(ROWS, ["a"])


def test_device():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in ("cpu", "cuda")


def test_plain_json():
    assert plain_json({"a": None, "b": 0}) == {"b": 0}


def test_by_default_nothing_is_fitted():
    stage = Given(table=ROWS)
    assert not stage.fits_pool
    assert stage.fit([ROWS]) is None
    stage.use_threads(3)


def test_what_was_fitted_goes_into_a_copy():
    stage = Given(table=ROWS)
    fitted = stage.fitted_with(ROWS)
    assert fitted._fitted is ROWS
    assert stage._fitted is None
