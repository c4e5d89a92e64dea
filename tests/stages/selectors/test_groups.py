import numpy as np
import pyarrow as pa
import pytest
from tamis.stages.selectors.groups import groups_of

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "names", "places"),
    [
        (["b", None, "a", "", "b"], ["", "a", "b"], [2, -1, 1, 0, 2]),
        (pa.array([2, 10, None, 2], pa.int32()), ["10", "2"], [1, 0, -1, 1]),
        ([0.5, NAN, None, 0.5], ["0.5"], [0, -1, -1, 0]),
        ([True, False, True], ["false", "true"], [1, 0, 1]),
        ([["é"], None, ["b", "c"], ["é"]], ['["b", "c"]', '["é"]'], [1, -1, 0, 1]),
        ([{"a": 1}, {"a": None}], ['{"a": 1}', '{"a": null}'], [0, 1]),
        (pa.array([None, None], pa.null()), [], [-1, -1]),
        (pa.array([], pa.string()), [], []),
    ],
)
def test_names_and_places(values, names, places):
    column = pa.array(values) if isinstance(values, list) else values
    for one in (column, pa.chunked_array([column.slice(0, 1), column.slice(1)])):
        found = groups_of(one)
        assert (found[0], found[1].tolist()) == (names, places)


def test_what_rows_without_a_value_are_called():
    """A group of that name is the same group."""
    names, places = groups_of(pa.array(["x", None, "-"]), "-")
    assert (names, places.tolist()) == (["-", "x"], [1, 0, 0])
    names, places = groups_of(pa.array([NAN, 1.0]), "-")
    assert (names, places.tolist()) == (["-", "1.0"], [0, 1])
    assert groups_of(pa.array(["x"]), "-")[0] == ["x"]


def test_lists_and_their_text_are_the_same_groups():
    """Input columns hold lists as JSON."""
    texts = ['["a", "b"]', "[1, 2.5]"]
    assert groups_of(pa.array(texts))[0] == sorted(texts)
    assert groups_of(pa.array([["a", "b"]]))[0] == texts[:1]
    assert np.array_equal(groups_of(pa.array([[1.0, 2.5], None]))[1], [0, -1])
