import numpy as np
import pyarrow as pa
import pytest
from tamis.scorers.matrices import matrix, unit
from tamis.scorers.vectors import KEPT, kept, vector_column


def units(n, dim, seed=0):
    """Unit vectors, pairs of which have all kinds of cosines."""
    random = np.random.default_rng(seed)
    shared = random.standard_normal((1, dim))
    found = random.standard_normal((n, dim)) + np.linspace(0, 3, n)[:, None] * shared
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def read_units(column, checkpoints):
    """(rows, checkpoints, dim) unit vectors."""
    found = matrix(column, "vectors")
    return unit(found.reshape(len(found), checkpoints, -1))


def column(keep, parts, ok=(True, False, True, True)):
    places = np.array([0, 2, 3])
    return vector_column([kept(part, keep) for part in parts], places, np.array(ok), keep)


@pytest.mark.parametrize(("keep", "largest"), [("fp16", 1e-3), ("int8", 3e-3)])
def test_cosines_stay(keep, largest):
    vectors = units(30, 8192)
    made = vector_column([kept(vectors, keep)], np.arange(30), np.ones(30, bool), keep)
    read = read_units(made, 1)[:, 0]
    assert np.abs(read @ read.T - vectors @ vectors.T).max() < largest


def test_cosines_of_signs():
    vectors = units(30, 8192)
    made = vector_column([kept(vectors, "sign")], np.arange(30), np.ones(30, bool), "sign")
    read = read_units(made, 1)[:, 0]
    expected = 2 / np.pi * np.arcsin(np.clip(vectors @ vectors.T, -1, 1))
    assert np.abs(read @ read.T - expected).max() < 4 / np.sqrt(8192)


@pytest.mark.parametrize("keep", sorted(KEPT))
def test_checkpoints_and_null_rows(keep):
    parts = [units(3, 16, seed) for seed in range(2)]
    made = column(keep, parts)
    assert made.type == KEPT[keep] and made.null_count == 1 and not made[1].is_valid
    read = read_units(pa.chunked_array([made]), 2)
    assert read.shape == (4, 2, 16) and np.isnan(read[1]).all()
    np.testing.assert_allclose(np.linalg.norm(read[[0, 2, 3]], axis=2), 1, rtol=1e-5)
    for number, part in enumerate(parts):
        if keep == "sign":
            assert (np.sign(read[[0, 2, 3], number]) == np.where(part >= 0, 1, -1)).all()
        else:
            np.testing.assert_allclose(read[[0, 2, 3], number], part, atol=0.01)


def test_bits_by_hand():
    vectors = np.array([[0.5, -1, 0, -2, 3, 4, -5, 6]], np.float32)
    assert kept(vectors, "sign").tolist() == [[0b10101101]]
    assert kept(vectors[:, :4], "int8").tolist() == [[32, -64, 0, -127]]


@pytest.mark.parametrize("keep", sorted(KEPT))
def test_no_rows(keep):
    made = vector_column([], np.empty(0, np.int64), np.zeros(2, bool), keep)
    assert made.type == KEPT[keep] and made.null_count == 2
    assert matrix(made, "vectors").shape == (2, 0)


@pytest.mark.parametrize("keep", ["fp16", "int8"])
@pytest.mark.filterwarnings("error")
def test_zero_vectors_stay_zero_and_tiny_ones_do_not(keep):
    vectors = np.array([[0.0] * 8, [1e-41] * 8], np.float32)
    made = vector_column([kept(vectors, keep)], np.arange(2), np.ones(2, bool), keep)
    found = matrix(made, "vectors")
    assert (found[0] == 0).all() and (found[1] == (127 if keep == "int8" else 0)).all()
