import json

import pytest
from tamis.errors import ConfigError, WorkerError
from tamis.pipeline import run as module
from tamis.pipeline.run import score, select
from tamis.pipeline.uses import uses_of
from tamis.tests.runs import quiet, run_config


def test_a_run_says_what_it_needs(tmp_path):
    result = select(run_config(tmp_path), quiet())
    uses = uses_of(result.folder.path)
    assert uses.store == str((tmp_path / "store").absolute())
    assert uses.pools == (result.manifest["pool"]["key"],)
    assert {step.rpartition("-")[2] for step in uses.steps} == {
        step["key"] for step in result.manifest["steps"]
    }
    assert uses.warmups == ()


def test_before_it_has_computed_anything(tmp_path, monkeypatch):
    def dies(*args, **fields):
        raise WorkerError("died")

    monkeypatch.setattr(module, "compute", dies)
    with pytest.raises(WorkerError):
        select(run_config(tmp_path), quiet())
    assert len(uses_of(tmp_path / "runs" / "run").steps) == 3


def test_scores_alone(tmp_path):
    path, _ = score(run_config(tmp_path), quiet())
    assert len(uses_of(path.parent).steps) == 3


def test_a_folder_that_does_not_say_it(tmp_path):
    for text in ("", "[]", json.dumps({"store": "s"})):
        (tmp_path / "uses.json").write_text(text)
        with pytest.raises(ConfigError, match="does not say what it needs of its store"):
            uses_of(tmp_path)
