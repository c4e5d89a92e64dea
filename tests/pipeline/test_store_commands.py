import os
import time

import pytest
from tamis.pipeline.cli import app
from tamis.pipeline.run import select
from tamis.pipeline.store_commands import in_units
from tamis.tests.runs import quiet, run_config
from typer.testing import CliRunner


@pytest.fixture
def said(tmp_path, monkeypatch):
    """A store of which no run is left, two hours old; returns what a command says there."""
    select(run_config(tmp_path), quiet())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none").mkdir()
    for path in (tmp_path / "store").rglob("*"):
        os.utime(path, (time.time() - 7200,) * 2)
    return lambda *words: CliRunner().invoke(app, ["store", *words]).output


def test_list(said):
    output = said("list")
    assert "length-" in output
    assert "run" in output
    assert "not needed" in output


def test_prune_deletes_only_when_told(said, tmp_path):
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert "nothing to delete" in said("prune", "--yes")
    assert f"{len(files):,} files" in said("prune", "--out", "none")
    assert all(path.exists() for path in files)
    assert f"deleted {len(files):,} files" in said("prune", "--out", "none", "--yes")
    assert not any(path.exists() for path in files)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e12, "2.5 TB")]
)
def test_units(size, text):
    assert in_units(size) == text
