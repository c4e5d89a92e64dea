import numpy as np
import pyarrow as pa
import pytest
from tamis.stages.checks import check_stage
from tamis.stages.signals.embedding_column import EmbeddingColumn

STAGE = EmbeddingColumn(column="data.v")


@pytest.mark.parametrize("values", [[[3, 4], [0.0, 2.0]], ["[3, 4]", "[0.0, 2.0]"]])
def test_unit_vectors_of_lists_or_their_text(values):
    found = STAGE(pa.table({"data.v": values}), ["embedding", "status"])
    vectors = np.array(found["embedding"].to_pylist(), dtype=np.float32)
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0, 1]], atol=1e-3)
    assert found["status"].to_pylist() == ["ok", "ok"]


def test_what_is_not_a_vector_has_a_status():
    values = ["[0, 0]", "x", None, "[1, [2]]", "5", "[1e999]", "[]", '["a"]', "[3, 4]"]
    found = STAGE(pa.table({"data.v": values}), ["embedding", "status"])
    assert found["status"].to_pylist() == ["no_vector"] * 8 + ["ok"]
    assert STAGE(pa.table({"data.v": values}), ["given.status"])["given.status"].null_count == 9
    assert found["embedding"].null_count == 8


def test_contract():
    check_stage(STAGE, pa.table({"data.v": ["[1, 2]", "[3, 1]", "x"]}))
