"""Curated datasets load in the oldest and in the current `datasets` that trainers ask for."""

import json
import subprocess
import sys

import pytest
from tamis.pipeline.run import select
from tamis.tests.runs import quiet, run_config

pytestmark = pytest.mark.compat

READ = """
import json, sys
from datasets import __version__, load_dataset, load_from_disk
folder, cache = sys.argv[1:]
found = {
    "disk": load_from_disk(f"{folder}/arrow/train").to_list(),
    "hub": load_dataset(folder, split="train", cache_dir=cache).to_list(),
    "jsonl": load_dataset("json", data_files=f"{folder}/train.jsonl", split="train",
                          cache_dir=cache).to_list(),
}
print(json.dumps([__version__, found]))
"""


@pytest.fixture(scope="module")
def curated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return select(run_config(folder), quiet()).folder.path / "curated"


def read(python, curated, cache):
    done = subprocess.run(
        [python, "-c", READ, str(curated), str(cache)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_old_and_current_datasets_read_the_same(curated, tmp_path):
    venv = tmp_path / "old"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    subprocess.run(
        [str(venv / "bin/pip"), "install", "--quiet", "datasets==3.6.0"],
        check=True,
        capture_output=True,
    )
    old_version, old = read(str(venv / "bin/python"), curated, tmp_path / "old-cache")
    new_version, new = read(sys.executable, curated, tmp_path / "new-cache")
    assert old_version == "3.6.0"
    assert new_version > "5"
    assert old == new
    assert old["disk"] == old["hub"]
    lines = (curated / "train.jsonl").read_text("utf-8").splitlines()
    assert old["jsonl"] == [json.loads(line) for line in lines]
