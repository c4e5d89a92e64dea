"""Curated datasets load in every `datasets` that trainers ask for, from the oldest to the newest.

LLaMA-Factory 0.9.5 asks for 2.16.0 to 4.0.0, Axolotl 0.19.0 for 4.8.4, TRL 1.16.0 for 4.7.0 or
newer. Versions that know JSON as a type leave fields of messages out where others have nulls.
"""

import json
import sys

import pytest
from tamis.pipeline.finished import open_run
from tamis.pipeline.other_form import write_form
from tamis.pipeline.run import select
from tamis.stages.forms import FORMS
from tamis.tests.environments import environment, run
from tamis.tests.runs import quiet, run_config
from tamis.tests.tiny import mixed_rows, write_jsonl

pytestmark = pytest.mark.compat

VERSIONS = ("2.16.0", "4.0.0", "4.7.0", "4.8.4")
READ = """
import json, sys
from pathlib import Path
from datasets import __version__, disable_progress_bar, load_dataset, load_from_disk
disable_progress_bar()
folder, cache = Path(sys.argv[1]), sys.argv[2]
def plain(value):
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    return [plain(inner) for inner in value] if isinstance(value, list) else value
def rows(dataset):
    return [plain(row) for row in dataset]
def read(kind, *files):
    files = [str(file) for file in files]
    return rows(load_dataset(kind, data_files=files, split="train", cache_dir=cache))
curated = folder / "curated"
found = {
    "disk": rows(load_from_disk(str(curated / "arrow" / "train"))),
    "folder": rows(load_dataset(str(curated), split="train", cache_dir=cache)),
    "parquet": read("parquet", *sorted((curated / "data").iterdir())),
    "jsonl": read("json", curated / "train.jsonl"),
}
for file in sorted((folder / "forms").glob("*/train.*")):
    kind = {".jsonl": "json", ".parquet": "parquet"}[file.suffix]
    found[f"{file.parent.name}{file.suffix}"] = read(kind, file)
    form = load_dataset(str(file.parent), split="train", cache_dir=cache)
    assert rows(form) == found[f"{file.parent.name}{file.suffix}"], file
print(json.dumps([__version__, found]))
"""


@pytest.fixture(scope="module", params=["plain", "mixed"])
def finished(request, tmp_path_factory):
    """A run over plain rows, and one over rows with tools and several turns, in every form."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "plain":
        config = run_config(folder)
    else:
        path = write_jsonl(folder / "mixed.jsonl", mixed_rows())
        config = run_config(
            folder,
            data=[{"name": "mixed", "path": str(path)}],
            scorers={"long": {"use": "length", "unit": "chars"}},
            budget={"fraction": 1.0},
        )
    path = select(config, quiet()).folder.path
    for form in FORMS:
        for file in ("jsonl", "parquet"):
            write_form(open_run(str(path)), form, str(path / "forms" / f"{form}-{file}"), file)
    return path


@pytest.fixture(scope="module")
def current(finished, tmp_path_factory):
    return read(sys.executable, finished, tmp_path_factory.mktemp("cache"))


def read(python, finished, cache):
    said = run(python, "-c", READ, str(finished), str(cache))
    return json.loads(said.splitlines()[-1])


def test_the_current_version_reads_every_form_the_same(finished, current):
    version, found = current
    assert version > "5"
    assert found["disk"] == found["folder"] == found["parquet"]
    assert len(found["disk"]) == len(open_run(str(finished)).kept)
    assert len(found) == 4 + 2 * len(FORMS)
    assert [len(found[f"{form}-parquet.parquet"]) for form in FORMS] == [
        len(found[f"{form}-jsonl.jsonl"]) for form in FORMS
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_other_versions_read_what_the_current_one_does(
    finished, current, version, tmp_path, pytestconfig
):
    folder = pytestconfig.cache.mkdir("environments")
    python = environment(folder, f"datasets-{version}", [f"datasets=={version}"])
    found_version, found = read(python, finished, tmp_path)
    assert found_version == version
    assert found == current[1]
