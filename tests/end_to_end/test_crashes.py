"""Rows that kill their worker, through whole runs."""

import json

import pyarrow.parquet as pq
import pytest
from tamis.pipeline.run import select
from tamis.pipeline.status import status_of
from tamis.tests.runs import digest, quiet, run_config

SIGNAL = '''"""Length of a text; dies of one text."""

import os
import signal

import pyarrow as pa
from tamis.stages.base import ROWS, Stage


class Deadly(Stage):
    deadly: str = ""

    @property
    def reads(self):
        return pa.schema([ROWS.field("messages")])

    @property
    def adds(self):
        return pa.schema([("answer_tokens", pa.int32()), ("status", pa.string())])

    def run(self, rows, wanted):
        texts = [row[-1]["content"] for row in rows["messages"].to_pylist()]
        if self.deadly and any(self.deadly in text for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)
        made = {
            "answer_tokens": pa.array([len(text) for text in texts], pa.int32()),
            "status": ["ok"] * len(texts),
        }
        return pa.table({name: made[name] for name in wanted})
'''

SCORER = '''"""A number that a signal found."""

import pyarrow as pa
from tamis.scorers.base import Scorer


class Taken(Scorer):
    @property
    def reads(self):
        return pa.schema([("deadly.answer_tokens", pa.int32()), ("deadly.status", pa.string())])

    def score(self, rows, fitted=None):
        return rows["deadly.answer_tokens"].cast("float32").combine_chunks()
'''


def config_of(folder, workers, deadly):
    folder.mkdir(exist_ok=True)
    (folder / "deadly.py").write_text(SIGNAL)
    (folder / "taken.py").write_text(SCORER)
    return run_config(
        folder,
        40,
        signals={"deadly": {"use": str(folder / "deadly.py"), "deadly": deadly}},
        scorers={"taken": {"use": str(folder / "taken.py")}},
        selector=[{"use": "top_k", "by": "taken.score"}],
        engine={"kind": "ray", "workers": workers},
    )


@pytest.fixture(scope="module")
def deadly(tmp_path_factory):
    """The answer of row 20, which no other row has."""
    folder = tmp_path_factory.mktemp("pool")
    run_config(folder, 40)
    rows = [json.loads(line) for line in (folder / "pool-40.jsonl").read_text().splitlines()]
    found = rows[20]["output"]
    assert sum(found in row["output"] for row in rows) == 1
    return found


@pytest.mark.slow
def test_the_row_says_so_and_the_rest_is_as_ever_for_any_number_of_workers(tmp_path, deadly):
    whole = select(config_of(tmp_path / "whole", 1, ""), quiet())
    found = [select(config_of(tmp_path / str(n), n, deadly), quiet()) for n in (1, 2)]
    assert digest(found[0].folder.path) == digest(found[1].folder.path)
    before, after = (
        {row["row_id"]: row for row in pq.read_table(r.folder.path / "ledger.parquet").to_pylist()}
        for r in (whole, found[0])
    )
    dead = after.pop(20)
    assert (dead["outcome"], dead["reason"], dead["taken.status"]) == (
        *("dropped", "worker_died", "worker_died"),
    )
    assert dead["taken.score"] is None
    assert all(row["taken.score"] == before[i]["taken.score"] for i, row in after.items())
    status = status_of(str(found[0].folder.path))
    assert status.state == "done"
    assert status.facts["steps_done"] == ["deadly", "taken"]
    *deaths, said = status.facts["failures"]
    assert all("a worker died on" in one or "tried by halves" in one for one in deaths)
    assert said == "deadly: rows 20 kill their worker; their status is worker_died"
    log = (found[0].folder.path / "log.jsonl").read_text()
    assert said in log
    assert "its rows are tried by halves" in log
