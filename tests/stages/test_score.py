import pickle
from typing import final

import pyarrow as pa
import pyarrow.compute as pc
from tamis.scorers.base import Scorer
from tamis.scorers.column import Column
from tamis.scorers.random import Random
from tamis.stages.checks import check_stage
from tamis.stages.score import Score


@final
class WithHalf(Scorer):
    @property
    def reads(self):
        return pa.schema([("x", pa.float64())])

    @property
    def details(self):
        return pa.schema([("half", pa.float32())])

    def score(self, rows, fitted=None):
        half = pc.divide(rows["x"], 2).cast(pa.float32())
        return pa.table({"score": rows["x"], "half": half})


def test_runs_the_scorer():
    stage = Score(scorer=Column(column="x"))
    assert stage.reads.names == ["x"]
    found = stage(pa.table({"x": [1.0, None]}), ["score"])
    assert found.to_pydict() == {"score": [1.0, None]}


def test_what_was_fitted_travels_with_it():
    rows = pa.table({"x": [1.0, 2.0, 3.0]})
    scorer = Column(column="x", prefer="middle")
    stage = Score(scorer=scorer)
    assert stage.fits_pool
    assert not Score(scorer=Column(column="x")).fits_pool
    stage = pickle.loads(pickle.dumps(stage.fitted_with(stage.fit([rows]))))
    assert stage(rows, ["score"])["score"].to_pylist()[1] == 0


def test_identity_is_the_scorers():
    assert Score(scorer=Random(seed=3)).identity() == {"seed": 3}


def test_contract():
    check_stage(Score(scorer=Column(column="x")), pa.table({"x": [1.0, 2.0, 3.0]}))
    check_stage(Score(scorer=Column(column="x", prefer="middle")), pa.table({"x": [1.0, 2.0, 3.0]}))


def test_details_are_columns_like_the_score():
    stage = Score(scorer=WithHalf())
    rows = pa.table({"x": [1.0, None, 3.0]})
    assert stage.adds.names == ["score", "status", "half"]
    assert stage(rows, ["half"])["half"].to_pylist() == [0.5, None, 1.5]
    check_stage(stage, rows)


@final
class Counting(Scorer):
    """Says how many rows it has seen."""

    @property
    def reads(self):
        return pa.schema([("x", pa.float64())])

    @property
    def fits_pool(self):
        return True

    def fit(self, pool):
        return pa.table({"n": [sum(len(rows) for rows in pool)]})

    def found(self, fitted):
        return f"{fitted['n'][0]} rows"

    def score(self, rows, fitted=None):
        return rows["x"]


def test_what_the_scorer_found_is_said():
    rows = pa.table({"x": [1.0, 2.0, 3.0]})
    stage = Score(scorer=Counting())
    assert stage.found() == ""
    assert stage.fitted_with(stage.fit([rows])).found() == "3 rows"
    quiet = Score(scorer=Column(column="x", prefer="middle"))
    assert quiet.fitted_with(quiet.fit([rows])).found() == ""
