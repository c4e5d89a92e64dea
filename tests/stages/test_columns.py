import numpy as np
import pyarrow as pa
from tamis.stages.columns import Sequences

# Five rows: the first has two sequences, the second none, the third a bad one, the last is empty.
FOUND = Sequences(
    row=np.array([0, 0, 2, 3, 4]),
    status=np.array(["ok", "ok", "not_finite", "ok", "ok"], dtype=object),
    n_rows=5,
)
COUNTS = np.array([2, 1, 2, 3, 0])
VALUES = np.arange(8.0)


def test_which_rows_have_numbers():
    assert FOUND.ok.tolist() == [True, False, False, True, True]
    assert FOUND.status_column().to_pylist() == ["ok", None, "not_finite", "ok", "ok"]


def test_lists_of_rows():
    lists = FOUND.lists(VALUES, COUNTS, pa.float32())
    assert lists.to_pylist() == [[0, 1, 2], None, None, [5, 6, 7], []]
    assert lists.type == pa.list_(pa.float32())


def test_sums_and_counts_of_rows():
    sums, counts = FOUND.sums(VALUES, COUNTS)
    assert sums.to_pylist() == [3, None, None, 18, 0]
    assert counts.to_pylist() == [3, None, None, 3, 0]


def test_a_sum_does_not_depend_on_the_rows_around_it():
    generator = np.random.default_rng(0)
    values = generator.exponential(size=300).astype(np.float32)
    whole = Sequences(np.arange(3), np.full(3, "ok", dtype=object), 3)
    alone = Sequences(np.arange(1), np.full(1, "ok", dtype=object), 1)
    together = whole.sums(values, np.full(3, 100))[0].to_pylist()
    for row in range(3):
        own = values[100 * row : 100 * row + 100]
        assert alone.sums(own, np.array([100]))[0].to_pylist() == [together[row]]


def test_nothing():
    none = Sequences(np.array([], dtype=np.int64), np.array([], dtype=object), 2)
    empty = np.array([], dtype=np.int64)
    assert none.lists(empty, empty, pa.int32()).to_pylist() == [None, None]
    assert none.sums(empty, empty)[0].to_pylist() == [None, None]
