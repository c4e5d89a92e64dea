import pickle

import pyarrow as pa
from tamis.scorers.column import Column
from tamis.scorers.random import Random
from tamis.stages.checks import check_stage
from tamis.stages.score import Score


def test_runs_the_scorer():
    stage = Score(scorer=Column(column="x"))
    assert stage.reads.names == ["x"]
    found = stage(pa.table({"x": [1.0, None]}), ["score"])
    assert found.to_pydict() == {"score": [1.0, None]}


def test_what_was_fitted_travels_with_it():
    rows = pa.table({"x": [1.0, 2.0, 3.0]})
    scorer = Column(column="x", prefer="middle")
    stage = pickle.loads(pickle.dumps(Score(scorer=scorer).fitted_with(scorer.fit([rows]))))
    assert stage(rows, ["score"])["score"].to_pylist()[1] == 0


def test_identity_is_the_scorers():
    assert Score(scorer=Random(seed=3)).identity() == {"seed": 3}


def test_contract():
    check_stage(Score(scorer=Column(column="x")), pa.table({"x": [1.0, 2.0, 3.0]}))
