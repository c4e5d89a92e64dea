import numpy as np
import pyarrow as pa
from tamis.scorers.turns import divide, last_of, list_lengths, mean, range_sums, read_turns


def test_mean_is_nan_where_nothing_was_scored():
    rows = pa.table({"x_sum": [3.0, 0.0, None], "x_count": pa.array([2, 0, None], pa.int32())})
    np.testing.assert_array_equal(mean(rows, "x"), [1.5, np.nan, np.nan])


def test_divide():
    np.testing.assert_array_equal(divide(np.array([1.0, 0]), np.array([0, 4])), [np.nan, 0])


def table():
    values = [[1.0, 2, 3], None, [], [4.0, 5]]
    turns = [[1, 2], None, [], [2]]
    return pa.table(
        {
            "x": pa.array(values, pa.list_(pa.float32())),
            "n": pa.array(turns, pa.list_(pa.int32())),
        }
    )


def test_turns_skip_rows_without_numbers():
    turns = read_turns(table(), "x", "n")
    assert turns.values.tolist() == [1, 2, 3, 4, 5]
    assert turns.row.tolist() == [0, 0, 3]
    assert (turns.ends - turns.starts).tolist() == [1, 2, 2]


def test_sums_of_the_last_tokens():
    turns = read_turns(table(), "x", "n")
    assert turns.sums(np.array([1, 2, 2])).tolist() == [1, 5, 9]
    assert turns.sums(np.array([0, 1, 1])).tolist() == [0, 3, 5]
    assert turns.sums(np.array([0, 0, 0])).tolist() == [0, 0, 0]


def test_a_slice_reads_as_the_rows_it_shows():
    turns = read_turns(table().slice(3), "x", "n")
    assert turns.values.tolist() == [4, 5]
    assert last_of(table().slice(2), "x").tolist()[1] == 5.0


def test_last_of():
    np.testing.assert_array_equal(last_of(table(), "x"), [3, np.nan, np.nan, 5])


def test_sums_of_ranges():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    assert range_sums(values, np.array([0, 2, 0, 1, 1, 0])).tolist() == [0, 3, 0, 4, 8, 0]
    assert range_sums(np.empty(0), np.array([0, 0])).tolist() == [0, 0]
    assert range_sums(np.empty(0), np.empty(0, dtype=np.int64)).tolist() == []


def test_lengths_of_lists():
    assert list_lengths(pa.array([[1], None, [], [1, 2]])).tolist() == [1, 0, 0, 2]
