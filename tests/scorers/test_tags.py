import pyarrow as pa
from tamis.scorers.checks import check_scorer
from tamis.scorers.tags import Tags, tags_of

LISTS = pa.array([["Math", "math ", "code"], [], None, ["x", None, " "]], pa.list_(pa.string()))


def test_different_tags_count():
    found = Tags()(pa.table({"data.tags": LISTS}))
    assert found["score"].to_pylist() == [2.0, 0.0, None, 1.0]
    assert found["status"].to_pylist() == ["ok", "ok", "no_tags", "ok"]


def test_text_with_commas():
    assert tags_of(pa.array(["a, B,,b", "", None])) == [frozenset("ab"), frozenset(), None]
    assert tags_of(pa.array([1, 2])) == [None, None]


def test_contract():
    check_scorer(Tags(), pa.table({"data.tags": LISTS}))
