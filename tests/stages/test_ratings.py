import numpy as np
import pyarrow as pa
from tamis.scorers.signals import column_type, schema
from tamis.stages.prompt import Prompt, Question
from tamis.stages.ratings import (
    as_columns,
    drawn,
    questions_about,
    rating_columns,
    selected,
)
from tamis.stages.replies import Rated
from tamis.stages.signals.rating_model import RatingModel
from tamis.tests.tiny import conversation

PROMPT = Prompt(
    user="a",
    scale=[1, 2],
    each="turn",
    criteria={"depth": "", "overall": ""},
    main="overall",
    labels={"domain": ["Law"]},
)


def reads(share):
    return RatingModel(prompt="alpagasus", model="m", share=share).reads


def question(row, turn):
    return Question(row, turn, "", "a")


def one(rating, **fields):
    criteria = {"depth": rating - 1, "overall": rating}
    return Rated("ok", rating, criteria, {"domain": "Law"}, text=str(rating), **fields)


def test_columns():
    questions = [question(0, 0), question(0, 1), question(2, 0), question(2, 1), question(3, 0)]
    pair = {"probabilities": np.array([0.25, 0.75]), "mass": 0.5}
    found = [one(1.75, **pair), one(2.0), Rated("timeout"), Rated("refused", text="no"), one(2.0)]
    columns = as_columns(PROMPT, questions, found, np.array([True, True, True, True, False]))
    table = selected(columns, rating_columns(PROMPT, replies=True).names)
    assert table.schema.equals(rating_columns(PROMPT, replies=True))
    assert table["status"].to_pylist() == ["ok", "no_answer", "timeout", "ok", "not_asked"]
    assert table["rating"].to_pylist() == [1.875, None, None, 2.0, None]
    assert table["ratings"].to_pylist() == [[1.75, 2.0], None, [None, None], [2.0], None]
    first = table["probabilities"][0].as_py()
    assert first[:2] == [0.25, 0.75]
    assert np.isnan(first[2:]).all()
    assert table["probabilities"].to_pylist()[1:] == [None] * 4
    assert table["mass"].to_pylist() == [[0.5, None], None, None, None, None]
    assert table["scale"].to_pylist() == [[1.0, 2.0]] * 5
    assert table["turns"].to_pylist() == [2, 0, 2, 1, 0]
    assert table["text"].to_pylist() == [["1.75", "2.0"], None, [None, "no"], ["2.0"], None]
    assert table["criteria.depth"].to_pylist() == [0.875, None, None, 1.0, None]
    assert table["labels.domain"].to_pylist() == ["Law", None, None, "Law", None]


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


def test_a_share_of_the_rows_by_their_content():
    rows = [conversation(f"Name city {i}.", "It is.") | {"sample_id": f"s{i}"} for i in range(200)]
    table = pa.Table.from_pylist(rows, schema=reads(0.25))
    asked = drawn(table, 0.25, seed=1)
    assert 30 < asked.sum() < 70
    turned = drawn(table.take(np.arange(200)[::-1]), 0.25, seed=1)
    assert (turned[::-1] == asked).all()
    assert not (drawn(table, 0.25, seed=2) == asked).all()
    assert (asked <= drawn(table, 0.5, seed=1)).all()  # a larger share keeps the smaller one
    prompt = Prompt(user="{{ instruction }}", scale=[1, 2])
    found = questions_about(prompt, table, asked)
    assert [question.row for question in found] == np.flatnonzero(asked).tolist()
    assert all(question.user == f"Name city {question.row}." for question in found)
    assert drawn(table.drop(["sample_id"]), 1.0, seed=0).all()
    assert "sample_id" not in reads(1.0).names
