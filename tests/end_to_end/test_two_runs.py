"""Two runs at once on one store: they share what they find, and end as each would alone."""

import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from tamis.pipeline.run import select
from tamis.tests.runs import digest, model_config, quiet


def start(config, folder, name):
    (folder / f"{name}.yaml").write_text(config.to_yaml())
    words = [sys.executable, "-m", "tamis", "select", f"{name}.yaml"]
    return subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_the_same_steps_at_the_same_time(tmp_path, gpt2):
    alone = []
    for rows in (10, 20):
        folder = tmp_path / f"alone-{rows}"
        folder.mkdir()
        config = model_config(folder, gpt2, budget={"rows": rows}, name=f"best-{rows}")
        alone.append(digest(select(config, quiet()).folder.path))
    configs = [
        model_config(tmp_path, gpt2, budget={"rows": rows}, name=f"best-{rows}")
        for rows in (10, 20)
    ]
    runs = [start(config, tmp_path, config.name) for config in configs]
    for run in runs:
        assert run.wait() == 0, run.stderr.read()
        run.stderr.close()
    found = [digest(tmp_path / "runs" / config.name) for config in configs]
    assert found == alone
    for path in (tmp_path / "store").rglob("*.parquet"):
        pq.read_table(path, page_checksum_verification=True)
    assert not [path for path in (tmp_path / "store").rglob("*") if path.suffix == ".partial"]


def test_the_same_run_twice(tmp_path, gpt2):
    """One of both fills the folder; the other says so, or comes when it is done."""
    config = model_config(tmp_path, gpt2)
    runs = [start(config, tmp_path, name) for name in ("a", "b")]
    said = [(run.communicate()[1], run.returncode) for run in runs]
    assert sorted(code for _, code in said) in ([0, 0], [0, 2])
    for text, code in said:
        if code:
            assert "another process fills" in text
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["run"]
    folder = tmp_path / "alone"
    folder.mkdir()
    alone = select(model_config(folder, gpt2), quiet())
    assert digest(tmp_path / "runs" / "run") == digest(alone.folder.path)
