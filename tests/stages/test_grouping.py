import numpy as np
import pyarrow as pa
from tamis.stages.grouping import (
    GROUPS,
    buckets,
    distinct,
    group_columns,
    linked,
    named,
    said,
    state,
)

IDS = pa.array(["d", "b", "e", "a", "c", "b"])
LABELS = np.array([0, 1, 0, 2, 0, 1])  # d, e and c; b twice; a alone


def test_buckets():
    order, starts = buckets(np.array([7, 3, 7, 5, 3]))
    assert order.tolist() == [1, 4, 3, 0, 2]
    assert starts.tolist() == [0, 2, 3, 5]
    assert buckets(np.empty(0, np.uint64))[1].tolist() == [0]


def test_rows_hang_together_however_many_links_apart():
    labels = linked(6, np.array([0, 1, 4]), np.array([1, 2, 5]))
    assert labels[0] == labels[1] == labels[2] and labels[4] == labels[5]
    assert len(set(labels.tolist())) == 3


def test_groups_are_named_by_their_smallest_id():
    rows, first, size = named(IDS, LABELS)
    assert rows.tolist() == [0, 1, 2, 4, 5]
    assert IDS.take(pa.array(first)).to_pylist() == ["c", "b", "c", "c", "b"]
    assert size.tolist() == [3, 2, 3, 3, 2]


def test_the_state_leaves_lonely_rows_out():
    found = state(IDS, LABELS)
    assert found.schema == GROUPS
    assert found.to_pylist() == [
        {"sample_id": "b", "group": "b", "size": 2},
        {"sample_id": "c", "group": "c", "size": 3},
        {"sample_id": "d", "group": "c", "size": 3},
        {"sample_id": "e", "group": "c", "size": 3},
    ]
    order = np.array([5, 3, 1, 0, 4, 2])
    assert state(IDS.take(pa.array(order)), LABELS[order] + 5).equals(found)
    assert len(state(pa.array([], pa.string()), np.empty(0, int))) == 0


def test_columns_of_rows():
    rows = pa.table({"sample_id": ["a", "e", "b"]})
    lines = state(IDS, LABELS).append_column("jaccard", pa.array([1.0, 1.0, 0.8, 0.9]))
    found = group_columns(rows, lines)
    assert found["group"].to_pylist() == ["a", "c", "b"]
    assert found["size"].to_pylist() == [1, 3, 2]
    assert found["jaccard"].to_pylist() == [None, 0.9, 1.0]


def test_the_first_of_the_same():
    lines = pa.table({"sample_id": ["b", "a", "b"], "x": [1, 2, 1]})
    assert distinct(lines).to_pylist() == [{"sample_id": "a", "x": 2}, {"sample_id": "b", "x": 1}]


def test_in_words():
    assert said(state(IDS, LABELS)) == "5 rows in 2 groups of several"
    assert said(None) == ""
