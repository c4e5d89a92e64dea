from typing import final

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import Field
from tamis.errors import ContractError
from tamis.scorers.base import Scorer
from tamis.scorers.checks import check_scorer


class Base(Scorer):
    @property
    def reads(self):
        return pa.schema([("x", pa.float64())])


@final
class Good(Base):
    power: float = 2.0

    def score(self, rows, fitted=None):
        return pc.power(rows["x"], self.power)


@final
class Batchy(Base):
    def score(self, rows, fitted=None):
        return pc.subtract(rows["x"], pc.mean(rows["x"])).combine_chunks()


@final
class Counting(Base):
    calls: list = Field(default_factory=list)

    def score(self, rows, fitted=None):
        self.calls.append(1)
        return pa.array([float(len(self.calls))] * len(rows))


@final
class BatchyDetail(Base):
    """Its score is good, its detail counts the rows of the batch."""

    @property
    def details(self):
        return pa.schema([("n", pa.int64())])

    def score(self, rows, fitted=None):
        return pa.table({"score": rows["x"], "n": [len(rows)] * len(rows)})


@final
class GoodDetail(Base):
    @property
    def details(self):
        return pa.schema([("half", pa.float64())])

    def score(self, rows, fitted=None):
        return pa.table({"score": rows["x"], "half": pc.divide(rows["x"], 2)})


ROWS = pa.table({"x": [1.0, 2.0, 4.0]})


def test_good():
    check_scorer(Good(), ROWS)
    check_scorer(GoodDetail(), ROWS)


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (Batchy(), "another batch"),
        (BatchyDetail(), "another batch"),
        (Counting(), "called again"),
    ],
)
def test_bad(scorer, message):
    with pytest.raises(ContractError, match=message):
        check_scorer(scorer, ROWS)


def test_needs_rows():
    with pytest.raises(ContractError, match="two rows"):
        check_scorer(Good(), ROWS.slice(0, 1))
    with pytest.raises(ContractError, match="'x'"):
        check_scorer(Good(), pa.table({"y": [1.0, 2.0]}))


class Aimed(Base):
    """Distance to the mean of a target, and to each of its rows."""

    target: str = "t"

    @property
    def targets(self):
        return (self.target,)

    @property
    def target_reads(self):
        return self.reads

    @property
    def optional(self):
        return pa.schema([("each", pa.list_(pa.float64()))])

    def aim(self, targets):
        return targets[self.target].select(["x"])

    def score(self, rows, fitted=None):
        return self.score_with(rows, fitted, ())["score"].combine_chunks()

    def score_with(self, rows, fitted, optional):
        goals = fitted["x"].to_pylist()
        each = [[abs(x - goal) for goal in goals] for x in rows["x"].to_pylist()]
        score = pa.array([-sum(one) for one in each], pa.float64())
        return pa.table({"score": score, "each": pa.array(each, pa.list_(pa.float64()))})


def test_a_scorer_with_targets():
    targets = {"t": pa.table({"x": [1.0, 2.0], "subtask": pa.nulls(2, pa.string())})}
    check_scorer(Aimed(), pa.table({"x": [1.0, 5.0, 7.0]}), targets)
