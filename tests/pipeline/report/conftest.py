"""A small finished run with two sources, labels, clusters, a rejected row and rows of strangers."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tamis.pipeline.config import Config
from tamis.pipeline.finished import Finished, open_run
from tamis.pipeline.report.beside import Beside, put_beside
from tamis.pipeline.run import select
from tamis.tests.runs import quiet, run_config
from tamis.tests.tiny import alpaca, write_jsonl

HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "[click](javascript:document.title='owned') <a href=\"javascript:alert(1)\">here</a>",
    "\x00\x07\x1b[31m \u202ednuora \u200f\u05d0\u05d1 \u0627",
    "<svg onload=\"document.title='owned'\"><style>*{display:none}</style>",
)
NAME = "a$b&amp;<i>中文"  # of a source


def report_config(folder: Path, **fields: object) -> Config:
    """A run without a model: 120 rows of two sources, of which 20 are kept."""
    rows = alpaca(80)
    for i, row in enumerate(rows):
        row |= {"rating": i % 7, "fault": "echo" if i % 8 == 0 else "none"}
    rows[5]["output"] = ""
    others = alpaca(40, seed=1)
    for i, row in enumerate(others):
        row |= {"rating": 9, "some": i, "fault": "none"}
        row["instruction"] += " other"
        row["output"] = f"{row['output']} {HOSTILE[i % len(HOSTILE)]}" * 2
    others[1]["output"] = "long " * 199_000
    for name, own in (("pool", rows), ("others", others)):
        write_jsonl(folder / f"{name}.jsonl", own)
    paths = [("pool", "pool"), (NAME, "others")]
    data = [{"name": name, "path": str(folder / f"{path}.jsonl")} for name, path in paths]
    own = {
        "data": data,
        "labels": "data.fault",
        "selector": [
            {"use": "threshold", "by": "rated.score", "at_least": 1},
            {"use": "top_k", "by": "long.score"},
        ],
        "budget": {"rows": 20},
    }
    return run_config(folder, 6, **(own | fields))


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The run."""
    folder = tmp_path_factory.mktemp("report")
    return open_run(str(select(report_config(folder), quiet()).folder.path))


@pytest.fixture(scope="session")
def beside(run: Finished) -> Beside:
    """Its rows."""
    return put_beside(run)


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Finished]:
    """Makes other runs."""

    def make(**fields: object) -> Finished:
        return open_run(str(select(report_config(tmp_path, **fields), quiet()).folder.path))

    return make
