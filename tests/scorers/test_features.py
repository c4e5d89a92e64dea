import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError
from tamis.scorers.features import Features, signal_column, there

FLOATS = pa.list_(pa.float32())


def rows(vectors, weights=(1.0,), status=None, kind=FLOATS, passed=None):
    n = len(vectors)
    return pa.table(
        {
            "g.adam": pa.array(vectors, kind),
            "g.given.status": passed or ["ok"] * n,
            "g.status": status or ["ok"] * n,
            "g.weights": pa.array([list(weights)] * n, FLOATS),
        }
    )


def test_weighted_mean_of_the_checkpoints_by_hand():
    """3 : 1 of (3, 4) / 5 and (0, 2) / 2."""
    features = Features("g.adam", "g.weights")
    assert features.reads.names == ["g.adam", "g.given.status", "g.status", "g.weights"]
    found = features.vectors(rows([[3, 4, 0, 2]], [3.0, 1.0]))
    assert found.tolist() == [pytest.approx([0.45, 0.85])]
    found = Features("g.adam", "g.weights", unit=False).vectors(rows([[3, 4, 0, 2]], [3.0, 1.0]))
    assert found.tolist() == [pytest.approx([2.25, 3.5])]


def test_without_weights_a_vector_is_what_it_is():
    found = Features("g.adam").vectors(rows([[3, 4, 0, 0]]))
    assert found.tolist() == [pytest.approx([0.6, 0.8, 0, 0])]


def test_rows_without():
    table = rows([[3, 4], None, [0, 0], [1, 0], [1, 0]], status=["ok"] * 3 + ["truncated", "bad"])
    found = Features("g.adam").vectors(table)
    assert there(found).tolist() == [True, False, False, True, False]
    assert there(Features("g.adam").vectors(table.slice(1, 1))).tolist() == [False]
    assert there(Features("g.adam").vectors(table.slice(0, 0))).tolist() == []


@pytest.mark.parametrize(
    ("kind", "values"), [(pa.list_(pa.int8()), [[3, 4, 0, 2]]), (pa.binary(), [b"\xf0"])]
)
def test_other_types(kind, values):
    found = Features("g.adam", "g.weights").vectors(rows(values, [1.0, 1.0], kind=kind))
    assert there(found).all()


def test_blocks_are_the_whole():
    table = rows(np.random.default_rng(0).normal(size=(300, 4)).tolist())
    features = Features("g.adam")
    found = np.empty((300, 4))
    for some, block in features.blocks(table):
        found[some] = block
    np.testing.assert_array_equal(found, features.vectors(table))


def test_another_number_of_checkpoints():
    with pytest.raises(ContractError, match="3 numbers for 2 checkpoints"):
        Features("g.adam", "g.weights").vectors(rows([[1, 2, 3]], [1.0, 1.0]))


def test_the_pass_of_a_row_says_why_it_has_no_vector():
    table = rows([[3, 4], None], passed=["ok", "not_finite"])
    features = Features("g.adam")
    assert features.status(table).to_pylist() == ["ok", "not_finite"]
    assert there(features.vectors(table)).tolist() == [True, False]
    assert Features("mine.vector").reads.names == ["mine.vector", "mine.status"]  # of no pass


def test_columns_of_signals():
    assert signal_column("base.embedding") == "base.embedding"
    assert signal_column(None) is None
    for name in ("data.v", "embedding", ".embedding", "base."):
        with pytest.raises(ValueError, match=f"must be the column of a signal.*{name!r}"):
            signal_column(name)


def test_columns_that_hold_no_vectors():
    assert signal_column("mine.vector") == "mine.vector"
    columns = ("status", "given.status", "label", "answer_tokens", "concepts", "given.jsd_sum")
    for column in columns:
        with pytest.raises(ValueError, match=f"must be a column of vectors.*'e.{column}'"):
            signal_column(f"e.{column}")
