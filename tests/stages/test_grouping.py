import numpy as np
import pyarrow as pa
from tamis.stages.grouping import (
    GROUPS,
    buckets,
    group_columns,
    linked,
    said,
    several,
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
    rows, first, size = several(IDS, LABELS)
    assert rows.tolist() == [0, 1, 2, 4, 5]
    assert IDS.take(pa.array(first)).to_pylist() == ["c", "b", "c", "c", "b"]
    assert size.tolist() == [3, 2, 3, 3, 2]


def test_the_state_leaves_lonely_rows_out():
    found = state(IDS, several(IDS, LABELS))
    assert found.schema == GROUPS
    assert sorted(found["group"].to_pylist()) == ["b", "c", "c", "c"]
    assert found["key"].to_pylist() == sorted(found["key"].to_pylist())
    order = np.array([5, 3, 1, 0, 4, 2])
    turned = IDS.take(pa.array(order))
    assert state(turned, several(turned, LABELS[order] + 5)).equals(found)
    nothing = pa.array([], pa.string())
    assert len(state(nothing, several(nothing, np.empty(0, int)))) == 0


def test_columns_of_rows():
    rows = pa.table({"sample_id": ["a", "e", "b"]})
    found = several(IDS, LABELS)
    lines = state(IDS, found, jaccard=np.array([0.5, 0.25, 0.75, 1.0, 0.25]))  # of d, b, e, c, b
    columns = group_columns(rows, lines)
    assert columns["group"].to_pylist() == ["a", "c", "b"]
    assert columns["size"].to_pylist() == [1, 3, 2]
    assert columns["jaccard"].to_pylist() == [None, 0.75, 0.25]
    alone = group_columns(rows, lines.slice(0, 0))
    assert alone["group"].to_pylist() == ["a", "e", "b"] and alone["size"].to_pylist() == [1] * 3


def test_in_words():
    assert said(state(IDS, several(IDS, LABELS))) == "5 rows in 2 groups of several"
    assert said(None) == ""
