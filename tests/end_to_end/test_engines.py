"""The same bytes from every engine and any number of workers, also after a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tamis.pipeline.run import select
from tamis.tests.runs import digest, model_config, quiet

TAMIS = str(Path(sys.executable).parent / "tamis")


@pytest.fixture(scope="module")
def expected(tmp_path_factory, gpt2):
    folder = tmp_path_factory.mktemp("local")
    return digest(select(model_config(folder, gpt2), quiet()).folder.path)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_ray_gives_the_bytes_of_the_local_engine(tmp_path, gpt2, expected, workers):
    engine = {"kind": "ray", "workers": workers}
    result = select(model_config(tmp_path, gpt2, engine=engine), quiet())
    assert [step["computed"] for step in result.manifest["steps"]] == [4, 4, 4]
    assert digest(result.folder.path) == expected
    token = os.environ["RAY_AUTH_TOKEN"].encode()
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and token in p.read_bytes()]


def test_one_engine_goes_on_where_another_stopped(tmp_path, gpt2, expected):
    config = model_config(tmp_path, gpt2)
    select(config, quiet())
    for path in sorted((tmp_path / "store").glob("*/*/*.parquet"))[::2]:
        path.unlink()
    engine = {"kind": "ray", "workers": 2}
    again = select(model_config(tmp_path, gpt2, engine=engine), quiet(), overwrite=True)
    assert 0 < again.manifest["steps"][0]["computed"] <= 4
    assert digest(again.folder.path) == expected


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_kill_in_the_middle_loses_nothing_that_was_finished(tmp_path, gpt2, expected, engine):
    """SIGKILL of the driver as soon as the first part of the model pass is there."""
    config = model_config(tmp_path, gpt2, engine={"kind": engine, "workers": 1})
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    run = subprocess.Popen(
        [TAMIS, "select", "c.yaml"],
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    column = "store/forward-*/status/*.parquet"  # written last of a part
    while not list(tmp_path.glob(column)) and run.poll() is None:
        time.sleep(0.002)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    done = len(list(tmp_path.glob(column)))
    assert done >= 1
    result = select(config, quiet())
    if not result.was_done:
        assert result.manifest["steps"][0]["computed"] == 4 - done
    assert digest(result.folder.path) == expected
    assert result.folder.path.name == "run"


def test_other_batch_budgets_keep_the_same_rows(tmp_path, gpt2, expected):
    signals = {"base": {"use": "forward", "model": str(gpt2), "dtype": "fp32", "batch_tokens": 64}}
    result = select(model_config(tmp_path, gpt2, signals=signals), quiet())
    other = digest(result.folder.path)
    assert other["curated/train.jsonl"] == expected["curated/train.jsonl"]
