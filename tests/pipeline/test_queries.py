from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ArtifactError
from tamis.pipeline.queries import query_names, with_names
from tamis.pipeline.selection import Decisions


@dataclass
class Kept:
    """A store that knows the state of one scorer."""

    state: Any
    root: Path = Path("store")
    asked: list = field(default_factory=list)

    def read_fitted(self, folder):
        self.asked.append(folder)
        return self.state


STATE = pa.table(
    {
        "target": ["gsm", "gsm", "mmlu", "bbh"],
        "subtask": pa.array([None, None, "law", "dates"]),
        "query": pa.array([0, 1, 0, None], pa.int32()),
    }
)
PLAN = SimpleNamespace(
    steps=[
        SimpleNamespace(name="rds", aims={"gsm": 1}, folder="rds_plus-1"),
        SimpleNamespace(name="mine", aims={}, folder="mine-2"),
    ]
)


def test_names_of_queries_and_targets():
    store = Kept(STATE)
    assert query_names("rds.by_query", PLAN, store) == ["gsm[0]", "gsm[1]", "mmlu[0]", "bbh, dates"]
    assert query_names("rds.by_target", PLAN, store) == ["gsm", "mmlu", "bbh"]
    assert store.asked == ["rds_plus-1"] * 2


def test_lists_without_targets_have_no_names():
    assert query_names("mine.by_query", PLAN, Kept(STATE)) == []
    assert query_names("", PLAN, Kept(STATE)) == []
    assert query_names("rds.by_query", PLAN, Kept(STATE.select(["target"]))) == []
    assert query_names("rds.by_subtask", PLAN, Kept(STATE)) == []  # a list of another kind
    with pytest.raises(ArtifactError, match="rds_plus-1: what was found in the targets is gone"):
        query_names("rds.by_query", PLAN, Kept(None))


def test_only_kept_rows_are_named():
    reasons = ["query: 3", "over budget", "query: 1[7]", "query: 2"]
    kept = np.array([True, False, True, False])
    decisions = Decisions(
        step=np.full(4, "round_robin", dtype=object),
        reason=np.array(reasons, dtype=object),
        rank=np.arange(4),
        margin=np.zeros(4),
        kept=kept,
    )
    config = SimpleNamespace(selector=[SimpleNamespace(by="rds.by_query")])
    found = with_names(decisions, config, PLAN, Kept(STATE)).reason.tolist()
    assert found == ["query: bbh, dates", "over budget", "query: gsm[1][7]", "query: 2"]
    config = SimpleNamespace(selector=[SimpleNamespace(by="rds.by_target")])
    drawn = replace(decisions, reason=np.array(["target: 0", "", "target: 1", ""], dtype=object))
    only = Kept(pa.table({"target": ["gsm", "bbh"], "ratio": [0, 0]}))
    assert with_names(drawn, config, PLAN, only).reason.tolist() == [
        *("target: gsm", "", "target: bbh", "")
    ]
    together = pa.table({"target": pa.array([None], pa.string())})
    assert query_names("rds.by_target", PLAN, Kept(together)) == ["gsm"]
    other = SimpleNamespace(selector=[SimpleNamespace(by="mine.score")])
    assert with_names(decisions, other, PLAN, Kept(STATE)) is decisions
