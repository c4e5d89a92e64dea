import numpy as np
import pyarrow as pa
import pytest
from tamis.pipeline.faults import fault_table
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
