import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError
from tamis.scorers.matrices import matrix, unit

HALF = pa.list_(pa.float16())


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float16()),
        pa.list_(pa.float32()),
        pa.list_(pa.float64()),
        pa.list_(pa.int8()),
        pa.list_(pa.float16(), 2),
    ],
)
def test_lists_of_numbers(kind):
    vectors = [np.array([1, -2]), None, np.array([3, 4])]
    column = pa.array([None if v is None else v.tolist() for v in vectors], pa.list_(pa.int8()))
    found = matrix(pa.chunked_array([column.cast(kind)]).slice(0, 3), "a.x")
    np.testing.assert_array_equal(found, [[1, -2], [np.nan, np.nan], [3, 4]])
    assert matrix(column.slice(1, 2).cast(kind), "a.x")[1].tolist() == [3, 4]


@pytest.mark.parametrize("kind", [pa.binary(), pa.binary(1)])
def test_packed_signs(kind):
    column = pa.array([b"\x81", None, b"\x00"], kind)
    found = matrix(column, "a.x")
    assert found[0].tolist() == [1, -1, -1, -1, -1, -1, -1, 1]
    assert np.isnan(found[1]).all()
    assert found[2].tolist() == [-1] * 8


def test_nothing_there():
    assert matrix(pa.array([None, None], HALF), "a.x").shape == (2, 0)
    assert matrix(pa.array([], HALF), "a.x").shape == (0, 0)
    assert matrix(pa.array([], pa.binary()), "a.x").shape == (0, 0)


def test_what_is_no_vector_is_said():
    with pytest.raises(ContractError, match=r"a\.x has vectors of 1 and of 2 numbers"):
        matrix(pa.array([[1.0], [1.0, 2.0]]), "a.x")
    with pytest.raises(ContractError, match=r"a\.x is string; vectors are lists"):
        matrix(pa.array(["a"]), "a.x")


def test_unit():
    found = unit(np.array([[[3.0, 4.0], [0.0, 0.0]]]))
    np.testing.assert_allclose(found, [[[0.6, 0.8], [np.nan, np.nan]]])
