"""Data, store and runs on S3: the same bytes as from local folders, whatever goes wrong."""

import hashlib

import pytest
from tamis.pipeline.config import Config
from tamis.pipeline.run import select
from tamis.stages.locations import locate
from tamis.stages.remote import files_below
from tamis.tests.runs import digest, model_config, quiet


@pytest.fixture(scope="module")
def expected(tmp_path_factory, gpt2):
    folder = tmp_path_factory.mktemp("local")
    return digest(select(model_config(folder, gpt2), quiet()).folder.path)


def remote_config(tmp_path, model, bucket, **fields) -> Config:
    """A run with all its files in a bucket."""
    local = model_config(tmp_path, model)
    pool = locate(f"{bucket}/data/pool.jsonl")
    pool.write_bytes(locate(local.data[0].path).read_bytes())
    places = {"store": f"{bucket}/a/store", "out": f"{bucket}/b/runs"}
    data = [{"name": "pool", "path": str(pool)}]
    return model_config(tmp_path, model, data=data, **(places | fields))


def remote_digest(folder):
    files = [folder / "ledger.parquet", *files_below(folder / "curated")]
    return {
        str(file).removeprefix(f"{folder}/"): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


@pytest.mark.parametrize("engine", [{"kind": "local"}, {"kind": "ray", "workers": 2}])
def test_the_same_bytes_as_from_local_folders(tmp_path, gpt2, bucket, expected, engine):
    config = remote_config(tmp_path, gpt2, bucket, engine=engine)
    result = select(config, quiet())
    assert str(result.folder.path) == f"{bucket}/b/runs/run"
    assert remote_digest(result.folder.path) == expected
    assert select(config, quiet()).was_done
