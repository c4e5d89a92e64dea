import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import DataError
from tamis.stages.checks import check_stage
from tamis.stages.signals.semantic_duplicates import SemanticDuplicates
from tamis.tests.stages.signals.test_clusters import rows

ADDS = ["group", "size", "cosine", "status"]
ANGLES = np.radians([0, 16, 30, 100])
CHAIN = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1).tolist()


def named(ids, vectors, labels, **fields):
    table = rows(vectors, **fields)
    table = table.set_column(0, "sample_id", pa.array(ids))
    return table.append_column("clusters.label", pa.array(labels, pa.int32()))


def grouped(table, **fields):
    stage = SemanticDuplicates(of="e.embedding", **fields)
    half = len(table) // 2
    state = stage.fit([table.slice(0, half), table.slice(half)])
    return stage.fitted_with(state)(table, ADDS)


def test_the_chain():
    """Of 0, 16 and 30 degrees each is like the next; the ends are not: one group."""
    found = grouped(named(list("dcba"), CHAIN, [0] * 4))
    assert found["group"].to_pylist() == ["b", "b", "b", "a"]
    assert found["size"].to_pylist() == [3, 3, 3, 1]
    expected = np.cos(np.radians([16, 14, 14]))
    np.testing.assert_allclose(found["cosine"].to_pylist()[:3], expected, atol=1e-3)  # fp16
    assert found["cosine"].to_pylist()[3] is None


def test_clusters_keep_rows_apart():
    table = named(list("dcba"), CHAIN, [0, 1, 1, 0])
    assert grouped(table)["group"].to_pylist() == ["d", "b", "b", "a"]
    assert grouped(table, clusters=None)["group"].to_pylist() == ["b", "b", "b", "a"]
    assert grouped(table, threshold=0.999, clusters=None)["size"].to_pylist() == [1] * 4


def test_copies_count_and_have_a_cosine_of_1():
    table = named(list("abab"), [CHAIN[0], CHAIN[3], CHAIN[0], CHAIN[3]], [0] * 4)
    found = grouped(table)
    assert found["size"].to_pylist() == [2] * 4
    assert found["cosine"].to_pylist() == [1.0] * 4


def test_rows_without_a_vector_are_alone():
    table = named(
        list("abc"), [CHAIN[0], None, CHAIN[0]], [0, None, 0], status=["ok", "too_long", "ok"]
    )
    found = grouped(table)
    assert found["group"].to_pylist() == ["a", "b", "a"]
    assert found["status"].to_pylist() == ["ok", "too_long", "ok"]


def test_promises():
    rng = np.random.default_rng(0)
    table = named(
        [f"{i:03}" for i in rng.permutation(80)],
        rng.normal(size=(80, 3)).tolist(),
        rng.integers(0, 3, 80),
    )
    check_stage(SemanticDuplicates(of="e.embedding"), table)
    turned = table.take(rng.permutation(80))
    stage = SemanticDuplicates(of="e.embedding")
    assert stage.fit([turned]) == stage.fit([table])
    with pytest.raises(ValueError, match="needs the groups"):
        stage(table, ["group"])
    with pytest.raises(ValueError, match="column of vectors"):
        SemanticDuplicates(of="e.concepts")
    assert "memory_mb" not in stage.identity()


def test_too_many_vectors_are_refused():
    table = named([f"{i:05}" for i in range(9000)], np.ones((9000, 30)).tolist(), [0] * 9000)
    with pytest.raises(DataError, match="take 2 MB, and memory_mb is 1"):
        SemanticDuplicates(of="e.embedding", memory_mb=1).fit([table])
