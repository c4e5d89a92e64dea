import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError
from tamis.scorers.features import Features
from tamis.stages.selectors.vectors import even, row_vectors, why_not
from tamis.tests.stages.selectors.test_k_center import pool_of


def test_order_by_content():
    pool = pool_of([[1.0]] * 4, ids=["c", "a", "c", "b"])
    assert even(pool).tolist() == [1, 3, 0, 2]
    assert even(pool.take([2, 1, 0, 3])).tolist() == [1, 3, 2, 0]


def test_vectors_of_some_rows():
    pool = pool_of([[3.0, 4], None, [0, 0], [0, 2]])
    found = row_vectors(pool, np.array([3, 1, 0, 2]), Features("e.embedding"), unit_length=True)
    np.testing.assert_allclose(found, [[0, 1], [np.nan] * 2, [0.6, 0.8], [np.nan] * 2])
    raw = Features("e.embedding", unit=False)
    assert row_vectors(pool, np.array([0]), raw, unit_length=False).tolist() == [[3, 4]]


def test_rows_that_have_none_beside_many_that_do():
    pool = pool_of([None] * 200 + [[1.0, 0]] * 3)
    found = row_vectors(pool, np.arange(203), Features("e.embedding"), unit_length=True)
    assert np.isnan(found[:200]).all()
    assert found[200:].tolist() == [[1, 0]] * 3


def test_why():
    status = pa.array(["ok", "truncated", None, "empty"])
    expected = ["no_vector"] * 3 + ["empty"]
    assert why_not(status, np.arange(4)).tolist() == expected


def test_vectors_of_two_lengths():
    pool = pool_of([[1.0, 0]] * 256 + [[1.0, 0, 0]] * 256)
    with pytest.raises(
        ContractError, match="of 2 numbers, but of 3 in the row with sample_id 0100; "
    ):
        row_vectors(pool, np.arange(512), Features("e.embedding"), unit_length=True)
