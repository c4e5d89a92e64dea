import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import DataError
from tamis.stages.checks import check_stage
from tamis.stages.signals.embedding_column import EmbeddingColumn

STAGE = EmbeddingColumn(column="data.v")


def rows(values):
    ids = pa.array([f"{place:04x}" for place in range(len(values))], pa.string())
    return pa.table({"data.v": values, "sample_id": ids})


@pytest.mark.parametrize("values", [[[3, 4], [0.0, 2.0]], ["[3, 4]", "[0.0, 2.0]"]])
def test_unit_vectors_of_lists_or_their_text(values):
    found = STAGE(rows(values), ["embedding", "status"])
    vectors = np.array(found["embedding"].to_pylist(), dtype=np.float32)
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0, 1]], atol=1e-3)
    assert found["status"].to_pylist() == ["ok", "ok"]


def test_what_is_not_a_vector_has_a_status():
    values = ["[0, 0]", "x", None, "[1, [2]]", "5", "[1e999]", "[]", '["a"]', "[3, 4]"]
    found = STAGE(rows(values), ["embedding", "status"])
    assert found["status"].to_pylist() == ["no_vector"] * 8 + ["ok"]
    assert STAGE(rows(values), ["given.status"])["given.status"].null_count == 9
    assert found["embedding"].null_count == 8


@pytest.mark.parametrize("size", [1e200, 1e-200, 1e308, 5e-324, 1.0])
def test_a_direction_does_not_depend_on_the_size(size):
    found = STAGE(rows([[size, 0.0, -size, size, size]]), ["embedding", "status"])
    assert found["embedding"].to_pylist() == [[0.5, 0, -0.5, 0.5, 0.5]]
    assert found["status"].to_pylist() == ["ok"]


def test_another_length_is_a_status_where_the_length_is_known():
    values = [[1.0, 2.0], [1.0], None, [3.0, 4.0, 5.0], [0.0, 2.0]]
    found = EmbeddingColumn(column="data.v", dim=2)(rows(values), ["embedding", "status"])
    assert found["status"].to_pylist() == ["ok", "wrong_length", "no_vector", "wrong_length", "ok"]
    assert found["embedding"].is_null().to_pylist() == [False, True, True, True, False]


def test_another_length_is_an_error_that_names_the_row_where_it_is_not():
    message = (
        r"data\.v has vectors of 2 numbers, but of 3 in the row with sample_id 0001; "
        r"with `dim: 2` such rows get the status wrong_length"
    )
    with pytest.raises(DataError, match=message):
        STAGE(rows([[1.0, 2.0], [3.0, 4.0, 5.0], None, [0.0, 2.0]]), ["embedding"])


def test_contract():
    check_stage(STAGE, rows(["[1, 2]", "[3, 1]", "x"]))
    check_stage(EmbeddingColumn(column="data.v", dim=2), rows(["[1, 2]", "[3, 1, 4]", "x"]))
