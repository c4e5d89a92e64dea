import logging
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import tamis
from tamis.errors import ConfigError
from tamis.pipeline.api import score, select
from tamis.tests.runs import digest, run_config
from tamis.tests.tiny import alpaca, write_jsonl


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def config(folder):
    """The keys and values of a small run."""
    return run_config(folder).model_dump(mode="json")


@pytest.fixture(scope="module")
def run(config):
    return select(config, quiet=True)


def test_a_run_from_keys_and_values(run, config, folder):
    assert run.folder == folder / "runs" / "run"
    assert run.manifest["rows_kept"] == len(run.kept) == len(run.curated) == 10
    frame = run.ledger.to_pandas()
    assert (frame["outcome"] == "kept").sum() == 10
    assert run.curated.column_names[0] == "messages"
    assert select(config, quiet=True).folder == run.folder


def test_file_mapping_and_config_give_the_same_bytes(run, config, folder):
    path = folder / "run.yaml"
    path.write_text(run_config(folder).to_yaml())
    expected = digest(run.folder)
    for number, form in enumerate((path, str(path), config, run_config(folder))):
        other = select(form, out=folder / f"out-{number}", quiet=True)
        assert digest(other.folder) == expected


def test_what_is_given_takes_the_place_of_what_the_config_says(folder, config):
    pool = write_jsonl(folder / "other pool.jsonl", alpaca(30, seed=1))
    own = {key: value for key, value in config.items() if key != "labels"}
    own["scorers"] = {"long": config["scorers"]["long"]}
    run = select(
        own,
        data=pool,
        budget=0.2,
        limit=20,
        out=folder / "given",
        sets={"name": "given", "signals": {"length": {"use": "length"}}},
        quiet=True,
    )
    assert run.folder == folder / "given" / "given"
    assert (len(run.ledger), len(run.kept)) == (20, 4)
    assert own["name"] == "run"  # what was given is left as it is


@pytest.mark.parametrize(
    ("budget", "n"), [(3, 3), (0.1, 5), ("10%", 5), ({"rows": 4}, 4), ("4", 4)]
)
def test_budgets(config, folder, budget, n):
    assert len(select(config, budget=budget, out=folder / "budgets", quiet=True).kept) == n


def test_scores(config, folder):
    table = score(config, out=folder / "scores", quiet=True)
    assert isinstance(table, pa.Table)
    assert len(table) == 59
    assert "long.percentile" in table.column_names


def test_mistakes_are_errors_of_tamis(config):
    with pytest.raises(tamis.TamisError, match=r"the config is not valid:\n  scorers\.long"):
        select(config, sets={"scorers.long.use": "lenght"}, quiet=True)
    with pytest.raises(ConfigError, match="budget 'lots' is none"):
        select(config, budget="lots")
    with pytest.raises(ConfigError, match="no config 'nothing'"):
        select("nothing")
    with pytest.raises(ConfigError, match="signal of the config has one"):
        select(config, model="gpt2")
    with pytest.raises(ConfigError, match="data: an empty list is given"):
        select(config, data=[])


def test_values_are_taken_as_they_are(config, folder):
    pool = write_jsonl(folder / "\U0001f600.jsonl", alpaca(30, seed=1))
    own = {key: value for key, value in config.items() if key != "labels"}
    own["scorers"] = {"long": config["scorers"]["long"]}
    for name, path in (("text", str(pool)), ("path", pool)):
        given = {"name": name, "data.0.path": path, "limits": {"max_hours": 1e-2}}
        run = select(own, sets=given, budget=3, out=folder / "values", quiet=True)
        assert run.config.data[0].path == str(pool)
        assert run.config.limits.max_hours == 0.01


def test_progress_is_plain_lines_or_nothing(config, folder, capsys):
    select(config, out=folder / "loud", store=folder / "loud-store")
    said = capsys.readouterr()
    assert said.out == ""
    assert "length: 59/59 rows" in said.err and "\x1b" not in said.err
    select(config, out=folder / "silent", store=folder / "silent-store", quiet=True)
    assert capsys.readouterr() == ("", "")


def test_no_logger_is_configured(config, folder):
    root, own = logging.getLogger(), logging.getLogger("tamis")
    before = root.handlers[:], root.level, own.handlers[:], own.level
    select(config, out=folder / "logs", quiet=True)
    assert (root.handlers, root.level, own.handlers, own.level) == before


def test_code_runs_only_where_it_is_allowed(config, folder, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text((Path(tamis.__file__).parent / "scorers/random.py").read_text())
    mine.write_text(mine.read_text().replace("from .", "from tamis.scorers."))
    named = {"scorers.mine": {"use": str(mine)}}
    with pytest.raises(ConfigError, match="allow"):
        select(config, sets=named, quiet=True)
    run = select(config, sets=named, out=folder / "mine", allow_code=True, quiet=True)
    assert run.config.name == "run"


LIGHT = """
import sys, time
began = time.perf_counter()
import tamis
took = time.perf_counter() - began
heavy = {"torch", "ray", "transformers", "datasets", "numpy", "pyarrow", "pydantic", "rich"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert took < 0.5, took
assert dir(tamis) == sorted(tamis.__all__)
assert "torch" not in sys.modules
from tamis import select, score, open_run, TamisError, Finished
assert not {"torch", "ray", "transformers", "datasets"} & set(sys.modules)
try:
    tamis.sleect
except AttributeError as error:
    assert "sleect" in str(error)
"""


def test_importing_it_imports_nothing_heavy():
    subprocess.run([sys.executable, "-c", LIGHT], check=True)


@pytest.mark.slow
def test_its_types_are_seen_from_outside(tmp_path):
    """As a user's own mypy sees them, by `py.typed`."""
    pytest.importorskip("mypy")
    root = Path(tamis.__file__).parent
    (tmp_path / "tamis").symlink_to(root)
    (tmp_path / "mine.py").write_text(
        "import tamis\n"
        'run: tamis.Finished = tamis.select("ifd", budget=0.05)\n'
        "reveal_type(tamis.open_run)\n"
        "tamis.select(3)\n"
    )
    flags = ["--config-file", str(root / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *flags, "mine.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Finished" in done.stdout and 'incompatible type "int"' in done.stdout, done.stdout
    assert "mine.py:2" not in done.stdout
