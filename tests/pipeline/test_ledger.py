import pyarrow as pa
from tamis.pipeline.ledger import HEAD, Named, counts, make_ledger
from tamis.pipeline.selection import decide
from tamis.stages.ingest import REJECTED
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.round_robin import RoundRobin
from tamis.stages.selectors.top_k import TopK

POOL = pa.table(
    {
        "row_id": [0, 2, 3],
        "sample_id": ["a", "b", "c"],
        "source": ["s", "s", "t"],
        "ifd.score": pa.array([0.5, None, 0.75], pa.float32()),
        "ifd.status": ["ok", "no_answer_tokens", "ok"],
    }
)
BAD = pa.Table.from_pylist(
    [
        {"row_id": 4, "source": "t", "file": 0, "line": 2, "reason": "bad JSON: here", "raw": "{"},
        {"row_id": 1, "source": "s", "file": 0, "line": 2, "reason": "bad JSON: there", "raw": "["},
    ],
    schema=REJECTED,
)


def ledger():
    made = decide(POOL, [TopK(by="ifd.score")], Budget(1))
    return make_ledger(POOL, made, Named(["ifd"]), BAD)


def test_every_input_row_has_its_line():
    found = ledger()
    assert found.schema.names == [*HEAD.names, "ifd.score", "ifd.percentile", "ifd.status"]
    assert found["row_id"].to_pylist() == [0, 1, 2, 3, 4]
    assert found["outcome"].to_pylist() == ["dropped", "rejected", "dropped", "kept", "rejected"]
    assert found["step"].to_pylist() == ["top_k", "ingest", "ifd", "top_k", "ingest"]
    assert found["reason"].to_pylist() == [
        "over budget",
        "bad JSON: there",
        "no_answer_tokens",
        None,
        "bad JSON: here",
    ]
    assert found["rank"].to_pylist() == [2, None, None, 1, None]
    assert found["margin"].to_pylist() == [-0.25, None, None, 0.0, None]
    assert found["ifd.percentile"].to_pylist() == [0.0, None, None, 0.5, None]
    assert found["ifd.status"].to_pylist() == ["ok", None, "no_answer_tokens", "ok", None]


def test_a_kept_row_says_what_pulled_it_in():
    detailed = POOL.append_column("ifd.query", pa.array([4, None, 7], pa.int32()))
    lists = pa.array([[0.5], [0.0], [0.75]], pa.list_(pa.float32()))
    pool = detailed.append_column("ifd.by_query", lists)
    made = decide(pool, [RoundRobin(by="ifd.by_query")], Budget(1))
    found = make_ledger(pool, made, Named(["ifd"]), BAD)
    assert found["reason"].to_pylist()[3] == "query: 0"
    assert found["reason"].to_pylist()[0] == "over budget"
    assert found["ifd.query"].to_pylist() == [4, None, None, 7, None]
    assert counts(found)[-1] == {
        "outcome": "kept",
        "step": "round_robin",
        "reason": "query",
        "n": 1,
    }


def test_counts_add_up_and_group_by_kind_of_reason():
    found = counts(ledger())
    assert sum(row["n"] for row in found) == 5
    assert found[0] == {"outcome": "rejected", "step": "ingest", "reason": "bad JSON", "n": 2}
    assert found[-1] == {"outcome": "kept", "step": "top_k", "reason": "", "n": 1}
