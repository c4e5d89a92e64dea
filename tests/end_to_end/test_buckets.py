"""Data, store and runs on S3: the same bytes as from local folders, whatever goes wrong."""

import errno
import hashlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from botocore.exceptions import EndpointConnectionError
from datasets import load_from_disk
from tamis.errors import ConfigError, PlanError, RemoteError
from tamis.pipeline.config import Config
from tamis.pipeline.run import score, select
from tamis.pipeline.token_view import token_view
from tamis.stages import remote
from tamis.stages.locations import locate
from tamis.stages.remote import files_below
from tamis.tests.end_to_end.test_tshirt import config_of as tshirt_config
from tamis.tests.pipeline.warm import config_of as warm_config
from tamis.tests.runs import digest, model_config, quiet, run_config

TAMIS = str(Path(sys.executable).parent / "tamis")


@pytest.fixture(scope="module")
def expected(tmp_path_factory, gpt2):
    folder = tmp_path_factory.mktemp("local")
    return digest(select(model_config(folder, gpt2), quiet()).folder.path)


def there(config: Config, bucket: str) -> Config:
    """The same run with all its files in a bucket."""
    (source,) = config.data
    pool = locate(f"{bucket}/data/pool.jsonl")
    pool.write_bytes(Path(source.path).read_bytes())
    data = [source.model_copy(update={"path": str(pool)})]
    places = {"data": data, "store": f"{bucket}/a/store", "out": f"{bucket}/b/runs"}
    return config.model_copy(update=places)


def remote_digest(folder):
    files = [folder / "ledger.parquet", *files_below(folder / "curated")]
    return {
        str(file).removeprefix(f"{folder}/"): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


@pytest.mark.parametrize(
    "engine",
    [
        {"kind": "local"},
        pytest.param({"kind": "ray", "workers": 2}, marks=pytest.mark.slow),
    ],
)
def test_the_same_bytes_as_from_local_folders(tmp_path, gpt2, bucket, expected, engine):
    config = there(model_config(tmp_path, gpt2, engine=engine), bucket)
    result = select(config, quiet())
    assert str(result.folder.path) == f"{bucket}/b/runs/run"
    assert remote_digest(result.folder.path) == expected
    assert select(config, quiet()).was_done
    for path in files_below(locate(bucket)):
        assert "partial" not in str(path)
        data = path.read_bytes()
        assert b"secret-of-the-test" not in data, path
        assert b"key-of-the-test" not in data, path


@pytest.mark.slow
def test_a_store_that_stutters(tmp_path, gpt2, bucket, expected, monkeypatch, caplog):
    """Every fifth request fails once; each time a line says so, and nothing else changes."""
    monkeypatch.setattr(remote, "WAITS_S", (0,) * 5)
    fs, one, n = locate(bucket).fs, threading.Lock(), itertools.count(1)
    failed = []

    def stuttering(work):
        def call(*args, **kwargs):
            with one:
                fails = next(n) % 5 == 0
            if fails:
                failed.append(work)
                raise OSError(errno.EBUSY, "Please reduce your request rate.")
            return work(*args, **kwargs)

        return call

    config = there(model_config(tmp_path, gpt2), bucket)
    for name in ("pipe_file", "cat_file", "ls", "info"):
        monkeypatch.setattr(fs, name, stuttering(getattr(fs, name)))
    result = select(config, quiet())
    monkeypatch.undo()
    assert caplog.text.count("Please reduce your request rate. (attempt ") == len(failed) > 10
    assert remote_digest(result.folder.path) == expected


def test_trainers_load_it_from_there(tmp_path, gpt2, bucket):
    path = select(there(model_config(tmp_path, gpt2), bucket), quiet()).folder.path
    rows = load_from_disk(f"{path}/curated/arrow/train")
    assert len(rows) == 10
    assert rows["messages"][0][0]["role"] == "user"
    load = f"""
from datasets import load_dataset
shards = "{path}/curated/data/train-*.parquet"
print(len(load_dataset("parquet", data_files=shards, split="train", cache_dir="{tmp_path}")))
"""
    online = os.environ | {"HF_HUB_OFFLINE": "0"}  # else `datasets` goes to no address at all
    done = subprocess.run([sys.executable, "-c", load], env=online, capture_output=True, text=True)
    assert done.stdout == "10\n", done.stderr


def started(config, folder, *, until):
    """A run in a process of its own, killed as soon as a file is there."""
    (folder / "c.yaml").write_text(config.to_yaml())
    run = subprocess.Popen(
        [TAMIS, "select", "c.yaml"],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not until() and run.poll() is None:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_a_killed_run_is_gone_on_with(tmp_path, gpt2, bucket, expected, engine):
    """Its lease is free at once: it names a process of this machine that is gone."""
    config = there(model_config(tmp_path, gpt2, engine={"kind": engine, "workers": 1}), bucket)
    column = locate(f"{bucket}/a/store/forward-*/status/*.parquet")  # written last of a part
    started(config, tmp_path, until=lambda: column.fs.glob(column.path))
    done = len(column.fs.glob(column.path))
    assert done >= 1
    result = select(config, quiet())
    assert result.folder.path.name == "run"
    if not result.was_done:
        computed = result.manifest["steps"][0]["computed"]
        # workers of Ray may finish what they are at after the run is killed
        assert computed == 4 - done if engine == "local" else computed <= 4 - done
    assert remote_digest(result.folder.path) == expected


def test_a_store_that_is_cut_off_in_the_middle(tmp_path, gpt2, bucket, expected, monkeypatch):
    config = there(model_config(tmp_path, gpt2), bucket)
    fs = locate(bucket).fs
    put, left = fs.pipe_file, [12]

    def cut(path, data, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise EndpointConnectionError(endpoint_url="http://far")
        return put(path, data, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(remote, "WAITS_S", ())
        patched.setattr(fs, "pipe_file", cut)
        with pytest.raises(RemoteError, match=f"^{bucket}.* cannot be used: EndpointConnection"):
            select(config, quiet())
    kept = set(files_below(locate(f"{bucket}/a/store")))
    assert kept
    result = select(config, quiet())
    assert remote_digest(result.folder.path) == expected
    assert kept <= set(files_below(locate(f"{bucket}/a/store")))


def test_a_damaged_object_is_named_set_aside_and_computed_again(
    tmp_path, gpt2, bucket, expected, caplog
):
    config = there(model_config(tmp_path, gpt2), bucket)
    select(config, quiet())
    store = locate(f"{bucket}/a/store")
    (path, *_) = [path for path in files_below(store) if "/score/" in str(path)]
    path.write_bytes(path.read_bytes()[:-9])
    result = select(config, quiet(), overwrite=True)
    assert f"damaged, set aside and computed again: {path}" in caplog.text
    assert path.with_name(f"{path.name}.damaged") in files_below(store)
    assert remote_digest(result.folder.path) == expected


def test_scores_and_tokens_of_a_run_at_an_address(tmp_path, bucket):
    config = there(tshirt_config(tmp_path), bucket)
    result = select(config, quiet())
    with pytest.raises(ConfigError, match="noisy is another signal"):
        token_view(str(result.folder.path), 1, allow_code=True)
    path, table = score(config, quiet())
    assert str(path) == f"{bucket}/b/runs/run/scores.parquet"
    assert pq.read_table(path.open("rb")) == table


def test_a_warm_up_needs_a_store_of_this_machine(tmp_path, gpt2, bucket):
    config = warm_config(tmp_path, gpt2, store=f"{bucket}/store")
    with pytest.raises(PlanError, match=r"a warm-up needs a store on this machine.*not 's3://"):
        select(config, quiet())


def tamis(folder, *words, code):
    run = "from tamis.pipeline.cli import main; from tamis.stages import remote; "
    run += "remote.WAITS_S = (0, 0); main()"
    done = subprocess.run(
        [sys.executable, "-c", run, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "secret-of-the-test" not in done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_command_line(tmp_path, bucket, monkeypatch):
    config = there(run_config(tmp_path), bucket)
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    assert f"{bucket}/b/runs/run/curated" in tamis(tmp_path, "select", "c.yaml", code=0)
    replayed = tamis(tmp_path, "select", f"{bucket}/b/runs/run/config.yaml", code=0)
    assert "already done" in replayed
    assert "4/4" in tamis(tmp_path, "plan", "c.yaml", code=0)
    gone = f"{bucket}-gone/store"
    said = tamis(tmp_path, "select", "c.yaml", "--store", gone, code=2)
    assert said.startswith(f"error: store '{gone}' cannot be used: ")
    assert said.count("\n") == 1
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    said = tamis(tmp_path, "select", "c.yaml", code=2).splitlines()
    assert said[-1].startswith(f"error: store '{bucket}/a/store' cannot be used: Endpoint")
    assert all("(attempt " in line for line in said[:-1])
