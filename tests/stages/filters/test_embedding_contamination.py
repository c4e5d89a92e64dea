import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError, DataError
from tamis.stages.filters.embedding_contamination import EmbeddingContamination
from tamis.tests.stages.signals.test_clusters import rows


def at(*degrees):
    return [[np.cos(np.radians(d)), np.sin(np.radians(d))] for d in degrees]


def judged(table, **fields):
    own = EmbeddingContamination(of="e.embedding", target=("s", "t"), **fields)
    targets = {"s": rows(at(0, 90)), "t": rows(at(10))}
    return own(table.select(own.reads.names), own.aim(targets)).to_pylist()


def test_by_hand():
    found = judged(rows(at(2, 60, 8)), threshold=0.98)
    assert [row["reason"] for row in found] == [
        "contaminated: s item 0",
        None,
        "contaminated: t item 0",
    ]
    assert [(row["target"], row["item"], row["items"]) for row in found] == [
        ("s", 0, 2),  # 2 degrees from one, 8 from the other
        ("s", 1, 0),
        ("t", 0, 2),
    ]
    expected = np.cos(np.radians([2, 30, 2]))
    np.testing.assert_allclose([row["similarity"] for row in found], expected, atol=1e-3)  # fp16


def test_a_row_at_the_threshold_is_dropped():
    assert judged(rows([[1.0, 0.0]]), threshold=1.0)[0]["reason"] == "contaminated: s item 0"


def test_a_row_without_a_vector():
    found = judged(rows([None, [1.0, 0.0]], status=["too_long", "ok"]))
    assert found[0]["reason"] == "too_long" and found[0]["similarity"] is None
    assert found[1]["reason"] == "contaminated: s item 0"


def test_what_cannot_be_compared():
    own = EmbeddingContamination(of="e.embedding", target="t")
    with pytest.raises(DataError, match=r"targets.t: row 1 has no e.embedding"):
        own.aim({"t": rows([[1.0, 0.0], None], status=["ok", "too_long"])})
    with pytest.raises(ContractError, match="3 numbers, those of the targets have 2"):
        judged(rows([[1.0, 0.0, 0.0]]))
    with pytest.raises(ValueError, match="needs the vectors"):
        own(rows(at(0)).select(own.reads.names))
    assert isinstance(own.target_reads, pa.Schema)
