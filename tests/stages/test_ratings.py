import numpy as np
import pyarrow as pa
from tamis.scorers.signals import column_type, schema
from tamis.stages.prompt import Prompt, Question
from tamis.stages.ratings import as_columns, rating_columns, selected
from tamis.stages.replies import Rated

PROMPT = Prompt(
    user="a",
    scale=[1, 2],
    each="turn",
    criteria={"depth": "", "overall": ""},
    main="overall",
    labels={"domain": ["Law"]},
)


def question(row, turn):
    return Question(row, turn, "", "a")


def one(rating, **fields):
    criteria = {"depth": rating - 1, "overall": rating}
    return Rated("ok", rating, criteria, {"domain": "Law"}, text=str(rating), **fields)


def test_columns():
    questions = [question(0, 0), question(0, 1), question(2, 0), question(2, 1), question(3, 0)]
    pair = {"probabilities": np.array([0.25, 0.75]), "mass": 0.5}
    found = [one(1.75, **pair), one(2.0), Rated("timeout"), Rated("refused", text="no"), one(2.0)]
    columns = as_columns(PROMPT, questions, found, 4)
    table = selected(columns, rating_columns(PROMPT, replies=True).names)
    assert table.schema.equals(rating_columns(PROMPT, replies=True))
    assert table["status"].to_pylist() == ["ok", "no_answer", "timeout", "ok"]
    assert table["rating"].to_pylist() == [1.875, None, None, 2.0]
    assert table["ratings"].to_pylist() == [[1.75, 2.0], None, [None, None], [2.0]]
    first = table["probabilities"][0].as_py()
    assert first[:2] == [0.25, 0.75]
    assert np.isnan(first[2:]).all()
    assert table["probabilities"].to_pylist()[1:] == [None, None, None]
    assert table["mass"].to_pylist() == [[0.5, None], None, None, None]
    assert table["scale"].to_pylist() == [[1.0, 2.0]] * 4
    assert table["turns"].to_pylist() == [2, 0, 2, 1]
    assert table["text"].to_pylist() == [["1.75", "2.0"], None, [None, "no"], ["2.0"]]
    assert table["criteria.depth"].to_pylist() == [0.875, None, None, 1.0]
    assert table["labels.domain"].to_pylist() == ["Law", None, None, "Law"]


def test_which_columns():
    without = rating_columns(PROMPT, replies=False).names
    assert "text" not in without
    assert "labels.domain" not in without
    assert "criteria.depth" in without


def test_scorers_know_the_types():
    assert column_type("criteria.depth") == pa.float32()
    assert column_type("labels.domain") == pa.string()
    assert schema("quality", "rating").names == ["quality.rating", "quality.status"]
    assert schema("quality", "scale").names == ["quality.scale"]
