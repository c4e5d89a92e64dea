import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ArtifactError
from tamis.pipeline.round_files import keep_round, known_places, read_round
from tamis.pipeline.store import Store

WHERE = ("noisy-1234", "part", "round-1")


def table(places):
    return pa.table({"delta": pa.array([[float(place)] * place for place in places])})


def keep(store, places):
    keep_round(store, *WHERE, places, table(places))


def test_rows_of_several_files_come_back_in_order(tmp_path):
    store = Store(tmp_path)
    assert known_places(store, *WHERE, ["delta"]).tolist() == []
    keep(store, [1, 7])
    keep(store, [2, 5])
    assert known_places(store, *WHERE, ["delta"]).tolist() == [1, 2, 5, 7]
    found = read_round(store, *WHERE, np.array([2, 5, 7]), ["delta"])
    assert found.to_pylist() == table([2, 5, 7]).to_pylist()
    assert found.column_names == ["delta"]


def test_rows_that_are_nowhere_are_said(tmp_path):
    store = Store(tmp_path)
    for places in ([], [1, 2]):
        if places:
            keep(store, places)
        with pytest.raises(ArtifactError, match="lacks rows of the round"):
            read_round(store, *WHERE, np.array([3]), ["delta"])


def test_a_damaged_file_is_named_and_can_be_set_aside(tmp_path):
    store = Store(tmp_path)
    keep(store, [1, 7])
    (path,) = tmp_path.rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match=path.name) as caught:
        known_places(store, *WHERE, ["delta"])
    store.set_aside(caught.value)
    assert known_places(store, *WHERE, ["delta"]).tolist() == []


def test_a_file_of_another_part_is_not_taken(tmp_path):
    store = Store(tmp_path)
    keep(store, [1])
    (path,) = tmp_path.rglob("*.parquet")
    other = path.parent.with_name("other")
    path.parent.rename(other)
    with pytest.raises(ArtifactError, match="is not round-1 of noisy-1234 of part other"):
        known_places(store, "noisy-1234", "other", "round-1", ["delta"])


def test_columns_asked_for_later_are_not_taken_for_known(tmp_path):
    store = Store(tmp_path)
    keep(store, [1, 7])
    assert known_places(store, *WHERE, ["delta", "mean"]).tolist() == []
    more = pa.table({"delta": [[1.0], [2.0]], "mean": [1.0, 2.0]})
    keep_round(store, *WHERE, [1, 7], more)
    assert known_places(store, *WHERE, ["mean"]).tolist() == [1, 7]
    found = read_round(store, *WHERE, np.array([7]), ["delta", "mean"])
    assert found.to_pylist() == [{"delta": [2.0], "mean": 2.0}]
