import numpy as np
import pyarrow as pa
import pytest
from tamis.scorers.rated import rating_lists, rating_numbers, rating_schema


def test_a_status_stands_beside_the_columns_of_blocks():
    names = rating_schema("judge.rating", "judge.criteria.accuracy", "data.rating", "ifd.score")
    assert names.names == [
        *("judge.rating", "judge.criteria.accuracy", "data.rating", "ifd.score"),
        *("judge.status", "ifd.status"),
    ]
    assert rating_schema("length.answer_tokens", "data.score").names == [
        "length.answer_tokens",
        "data.score",
    ]


def test_numbers_of_any_kind():
    table = pa.table({"a": ["4.5", "n/a", None, "+1", "true"], "b": [1, None, 3, 4, 5]})
    assert rating_numbers(table, "a").tolist() == pytest.approx(
        [4.5, np.nan, np.nan, 1, 1], nan_ok=True
    )
    assert rating_numbers(table, "b").tolist() == pytest.approx([1, np.nan, 3, 4, 5], nan_ok=True)
    lists = pa.table({"a": pa.array([[1.0], [2.0]])})
    assert np.isnan(rating_numbers(lists, "a")).all()


def test_lists_of_numbers():
    table = pa.table({"a": pa.array([[1.0, None], None, [], [2.0]], pa.list_(pa.float32()))})
    found = rating_lists(table, "a")
    assert [own.tolist() for own in found[1:]] == [[], [], [2.0]]
    assert found[0][0] == 1 and np.isnan(found[0][1])
    # a part of a table, and columns that are no lists
    assert [own.tolist() for own in rating_lists(table.slice(3), "a")] == [[2.0]]
    assert rating_lists(table.slice(4), "a") == []
    single = pa.table({"a": [3, None], "b": [["x"], ["y"]]})
    assert [own.tolist() for own in rating_lists(single, "a")] == [[3.0], []]
    assert [own.tolist() for own in rating_lists(single, "b")] == [[], []]
