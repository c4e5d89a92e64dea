import numpy as np
import pyarrow as pa
import pytest
from tamis.pipeline.faults import Found, fault_table
from tamis.pipeline.selection import decide
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.top_k import TopK

N = 300
KINDS = np.array(["none", "none", "wrong", "echo", "none", "wrong"])[np.arange(N) % 6]
POOL = pa.table(
    {
        "row_id": range(N),
        "sample_id": [f"{i:032x}" for i in range(N)],
        "data.fault": KINDS,
        "good.score": pa.array(np.where(KINDS == "none", 1.0, 0.0), pa.float32()),
        "good.status": ["ok"] * N,
        "bad.score": pa.array(
            np.where(KINDS == "wrong", 1.0, np.nan), pa.float32(), from_pandas=True
        ),
        "bad.status": np.where(KINDS == "wrong", "ok", "undefined"),
    }
)


def test_shares_of_every_choice():
    decisions = decide(POOL, [TopK(by="good.score")], Budget(120))
    found = fault_table(POOL, "data.fault", decisions, ["good", "bad"], Budget(120), seed=0)
    assert found.kinds == ("echo", "wrong")
    assert found.shares["pool"] == pytest.approx((1 / 6, 1 / 3, 1 / 2))
    assert found.shares["selection"] == found.shares["top good"] == (0, 0, 0)
    assert found.shares["top bad"] == (0, 1, 1)
    assert found.rows == {
        "pool": 300,
        "selection": 120,
        "random": 120,
        "top good": 120,
        "top bad": 100,
    }
    assert found.shares["random"][2] == pytest.approx(0.5, abs=0.15)


def test_what_filters_find():
    echo, wrong = KINDS == "echo", KINDS == "wrong"
    half = wrong & (np.arange(N) % 4 == 0)  # rows 2 and 5 of six; of 100 wrong ones 25
    sloppy = echo | (np.arange(N) == 0)  # and a good row
    pool = POOL
    for name, hit in {"half": half, "sloppy": sloppy, "idle": np.zeros(N, bool)}.items():
        pool = pool.append_column(f"{name}.reason", pa.array(np.where(hit, "bad", None)))
    decisions = decide(pool, [TopK(by="good.score")], Budget(100), ["half", "sloppy", "idle"])
    table = fault_table(
        pool, "data.fault", decisions, [], Budget(100), 0, ["half", "sloppy", "idle"]
    )
    assert table.kinds == ("echo", "wrong")
    found = table.found
    assert list(found) == ["half", "sloppy", "idle", "all filters"]
    assert (found["half"].rows, found["half"].harmed) == (25, 0)
    assert found["half"].recall == pytest.approx((0, 0.25, 25 / 150))
    assert found["half"].precision == (0, 1, 1)
    assert found["sloppy"].recall == pytest.approx((1, 0, 50 / 150))
    assert found["sloppy"].precision == pytest.approx((50 / 51, 0, 50 / 51))
    assert found["sloppy"].harmed == pytest.approx(1 / 150)
    assert found["idle"] == Found(0, (0, 0, 0), (0, 0, 0), 0)
    assert found["all filters"].rows == 76
    assert found["all filters"].recall == pytest.approx((1, 0.25, 0.5))
