"""From a pruned model to the rows that it has lost most on: a whole run, with both engines."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tamis.pipeline.run import select
from tamis.stages.pruning.prune import prune
from tamis.stages.pruning.settings import Pruning
from tamis.tests.runs import digest, quiet, run_config

SCORER = """
import pyarrow as pa
from tamis.scorers.base import Scorer
from tamis.scorers.signals import schema
from tamis.scorers.turns import mean


class Gap(Scorer):
    signal: str = "gap"

    @property
    def reads(self):
        return schema(self.signal, "given.jsd_sum", "given.jsd_count")

    def score(self, rows, fitted=None):
        return pa.array(mean(rows, f"{self.signal}.given.jsd"))
"""


@pytest.fixture(scope="module")
def pruned(gpt2, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pruned") / "half"
    prune(str(gpt2), None, folder, Pruning("magnitude", share=0.5))
    return folder


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    file = tmp_path_factory.mktemp("scorer") / "gap.py"
    file.write_text(SCORER)
    return file


@pytest.fixture(scope="module")
def make(gpt2, pruned, scorer):
    def config(folder: Path, engine="local", workers=1, **fields):
        signal = {"use": "divergence", "model": str(gpt2), "other": str(pruned), "dtype": "fp32"}
        return run_config(
            folder,
            40,
            signals={"gap": signal | fields},
            scorers={"gap_mean": {"use": str(scorer)}},
            selector=[{"use": "top_k", "by": "gap_mean.score"}],
            budget={"rows": 8},
            engine={"kind": engine, "workers": workers},
        )

    return config


@pytest.fixture(scope="module")
def run(make, tmp_path_factory):
    return select(make(tmp_path_factory.mktemp("local")), quiet())


def test_rows_that_pruning_has_hurt_most_come_first(run):
    ledger = pq.read_table(run.folder.path / "ledger.parquet").to_pylist()
    scores = np.array([row["gap_mean.score"] for row in ledger if row["gap_mean.status"] == "ok"])
    assert len(scores) == 39  # one of 40 has an empty answer
    assert ((scores > 0) & (scores < np.log(2))).all()
    kept = [row["gap_mean.score"] for row in ledger if row["outcome"] == "kept"]
    assert sorted(kept) == sorted(scores)[-8:]


def test_models_one_after_the_other_find_what_is_there(make, run):
    """The columns have the same name, so nothing is computed again."""
    folder = run.folder.path.parent.parent
    again = select(make(folder, apart=True).model_copy(update={"name": "apart"}), quiet())
    assert {step["computed"] for step in again.manifest["steps"]} == {0}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ray_gives_the_bytes_of_the_local_engine(make, run, workers, tmp_path):
    result = select(make(tmp_path, "ray", workers), quiet())
    assert digest(result.folder.path) == digest(run.folder.path)
