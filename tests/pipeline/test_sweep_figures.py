import numpy as np
import pyarrow as pa
import pytest
from tamis.pipeline.sweep_figures import Cell, facts_of, figures, lines
from tamis.stages.selectors.base import Budget

POOL = pa.table(
    {
        "source": ["a", "a", "a", "b", "b", "b"],
        "data.fault": ["none", "echo", None, "echo", "wrong", "none"],
    }
)
LENGTHS = pa.chunked_array([pa.array([10, 20, 30, 40, 50, 60], pa.int32())])


def cell(method, kept, seed=None, label="3 rows"):
    mask = np.isin(np.arange(6), kept)
    return Cell(method, label, Budget(3), seed, mask)


CELLS = [
    cell("selection", [0, 1, 2]),
    cell("top a", [1, 2, 3]),
    cell("random", [0, 3, 4], seed=0),
    cell("random", [3, 4, 5], seed=1),
    cell("top a", [5], label="1 row"),
]


def test_by_hand():
    table = figures(facts_of("data.fault", POOL, LENGTHS), CELLS).to_pylist()
    own, top, chance, other, alone = table
    assert own["kept"] == 3
    assert own["overlap.random"] == pytest.approx((1 / 3 + 0) / 2)
    assert (own["overlap.random_low"], own["overlap.random_high"]) == (0, pytest.approx(1 / 3))
    assert own["overlap.selection"] == own["jaccard.selection"] == 1
    assert own["jaccard.top a"] == top["jaccard.selection"] == pytest.approx(2 / 4)
    assert top["jaccard.random"] == pytest.approx(1 / 5)
    assert top["length.mean"] == pytest.approx(30)
    assert top["length.ratio"] == pytest.approx(30 / 35)
    assert own["sources.distance"] == pytest.approx(0.5)
    assert top["sources.distance"] == pytest.approx((1 / 6 + 1 / 6) / 2)
    assert (top["fault.echo"], top["fault.wrong"]) == (pytest.approx(2 / 3), 0)
    assert top["fault.any"] == pytest.approx(2 / 3)
    assert chance["overlap.random"] == other["overlap.random"] == pytest.approx(2 / 3)
    assert (chance["seed"], other["seed"], own["seed"]) == (0, 1, None)
    assert alone["overlap.random"] is alone["overlap.selection"] is None


def test_lines_are_means_and_ranges_over_the_seeds():
    facts = facts_of(None, POOL, LENGTHS)
    found = lines(figures(facts, CELLS[:4]))
    assert [line["method"] for line in found] == ["selection", "top a", "random"]
    assert found[0]["kept"] == 3
    assert found[2]["length.mean"] == {
        "mean": pytest.approx((100 / 3 + 50) / 2),
        "low": pytest.approx(100 / 3),
        "high": 50,
    }
    third = pytest.approx(2 / 3)
    assert found[2]["overlap.random"] == {"mean": third, "low": third, "high": third}
    assert found[2]["jaccard.top a"]["low"] == pytest.approx(1 / 5)
    assert not any(name.startswith("fault.") for name in found[0])


def test_the_pool():
    pool = facts_of("data.fault", POOL, LENGTHS).pool()
    assert pool["rows"] == 6
    assert pool["sources"] == {"a": 0.5, "b": 0.5}
    assert pool["fault.any"] == pytest.approx(0.5)
    assert (pool["length.mean"], pool["sources.distance"]) == (35, 0)
