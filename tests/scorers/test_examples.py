import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError, DataError
from tamis.scorers.examples import check_length, example_vectors
from tamis.scorers.features import Features

FEATURES = Features("base.embedding")


def rows(vectors, status="ok"):
    return pa.table(
        {
            "base.embedding": pa.array(vectors, pa.list_(pa.float32())),
            "base.given.status": ["ok"] * len(vectors),
            "base.status": [status] * len(vectors),
        }
    )


def test_all_targets_in_their_order_with_unit_length():
    targets = {"a": rows([[3.0, 4.0]]), "b": rows([[0.0, 2.0], [1.0, 0.0]])}
    found = example_vectors(targets, ["b", "a"], FEATURES)
    assert found == pytest.approx(np.array([[0, 1], [1, 0], [0.6, 0.8]]))


def test_a_row_without_a_vector():
    for bad in (rows([[1.0, 0.0], None]), rows([[1.0, 0.0], [0.0, 0.0]])):
        with pytest.raises(DataError, match=r"targets\.t: row 1 has no base\.embedding .* ok"):
            example_vectors({"t": bad}, ["t"], FEATURES)
    with pytest.raises(DataError, match=r"row 0 .*status no_text"):
        example_vectors({"t": rows([[1.0, 0.0]], "no_text")}, ["t"], FEATURES)


def test_lengths():
    targets = {"a": rows([[1.0, 0.0]]), "b": rows([[1.0, 0.0, 0.0]])}
    with pytest.raises(ContractError, match="of other lengths in other targets"):
        example_vectors(targets, ["a", "b"], FEATURES)
    check_length(np.ones((2, 3)), np.ones((1, 3)), "x")
    with pytest.raises(ContractError, match=r"x has vectors of 2 numbers, .* have 3"):
        check_length(np.ones((2, 2)), np.ones((1, 3)), "x")
