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


@final
class Detailed(Given):
    promised: object = pa.schema([("spread", pa.float32()), ("n", pa.int32())])

    @property
    def details(self):
        return self.promised


def details(values=(1.0, 2.0), spread=(0.5, 0.25), n=(3, 4), **others):
    table = {"n": pa.array(n, pa.int32()), "spread": pa.array(spread, pa.float32())}
    return pa.table({**table, "score": pa.array(values), **others})


def test_details_stand_beside_the_score():
    found = Detailed(values=details())(rows("ok", "truncated"))
    assert found.column_names == ["score", "status", "spread", "n"]
    assert found["spread"].to_pylist() == [0.5, 0.25]
    chunks = pa.concat_tables([details().slice(0, 1), details().slice(1)])
    assert Detailed(values=chunks)(rows("ok", "truncated")).equals(found)


def test_without_a_score_there_are_no_details():
    values = details(values=(None, 2.0, 3.0), spread=(0.5, 0.25, float("nan")), n=(1, 2, 3))
    found = Detailed(values=values)(rows("ok", "bad", "ok"))
    assert found["status"].to_pylist() == ["undefined", "bad", "ok"]
    assert found["spread"].to_pylist() == [None, None, None]
    assert found["n"].to_pylist() == [None, None, 3]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array([1.0, 2.0]), "table of score and"),
        (details().drop_columns("n"), r"promised \['score', 'spread', 'n'\]"),
        (details(more=[1, 2]), "'more'"),
        (details(values=(1.0,), spread=(1.0,), n=(1,)), "1 values for 2 rows"),
        (details(values=(1, 2)), "int64"),
        (details().set_column(0, "n", pa.array([3, 4])), "gave n as int64, not int32"),
    ],
)
def test_details_are_checked(values, message):
    with pytest.raises(ContractError, match=message):
        Detailed(values=values)(rows("ok", "ok"))


def test_a_table_needs_promised_details():
    with pytest.raises(ContractError, match=r"promised \['score'\]"):
        Given(values=details())(rows("ok", "ok"))
    only = pa.table({"score": [1.0, 2.0]})
    assert Given(values=only)(rows("ok", "ok"))["score"].to_pylist() == [1, 2]


@pytest.mark.parametrize("names", [("score",), ("a", "status"), ("a", "a")])
def test_details_have_names_of_their_own(names):
    promised = pa.schema([(name, pa.float32()) for name in names])
    with pytest.raises(ContractError, match="names of their own"):
        Detailed(promised=promised, values=details())(rows("ok", "ok"))


@final
class OnRequest(Detailed):
    @property
    def optional(self):
        return pa.schema([("each", pa.list_(pa.float32()))])

    def score_with(self, rows, fitted, optional):
        each = pa.array([[1, 2]] * len(rows), pa.list_(pa.float32()))
        return self.values.append_column("each", each)


def test_optional_details_come_only_when_asked_for():
    scorer, table = OnRequest(values=details(values=(1.0, None))), rows("ok", "ok")
    assert scorer(table).column_names == ["score", "status", "spread", "n"]
    found = scorer(table, None, ["each"])
    assert found.column_names == ["score", "status", "spread", "n", "each"]
    assert found["each"].to_pylist() == [[1, 2], None]
    with pytest.raises(NotImplementedError, match="but no score_with"):
        Scorer.score_with(scorer, table, None, ["each"])


def test_a_scorer_has_no_targets_unless_it_says_so():
    scorer = Given()
    assert (scorer.targets, scorer.target_reads.names, scorer.optional.names) == ((), [], [])
    with pytest.raises(NotImplementedError, match="Given has targets, but no aim"):
        scorer.aim({})
