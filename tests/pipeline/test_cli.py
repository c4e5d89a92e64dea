import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tamis.tests.runs import hear_ctrl_c
from tamis.tests.tiny import alpaca, write_jsonl

TAMIS = str(Path(sys.executable).parent / "tamis")

CONFIG = """
name: mine
data: [{name: pool, path: pool.jsonl}]
part_rows: 16
signals: {length: {use: length}}
scorers: {long: {use: length, unit: chars}}
selector: {use: top_k, by: long.score}
budget: {fraction: 0.1}
engine: {kind: local}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "c.yaml").write_text(CONFIG)
    write_jsonl(tmp_path / "pool.jsonl", alpaca(40))
    return tmp_path


def tamis(folder, *words, code=0):
    done = subprocess.run(
        [TAMIS, *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_select_says_what_and_where(folder):
    out = tamis(folder, "select", "c.yaml")
    assert "40 rows in, 4 kept" in out
    assert (folder / "runs/mine/curated/train.jsonl").read_text().count("\n") == 4
    assert "already done" in tamis(folder, "select", "c.yaml")
    assert "runs/mine/curated" in tamis(folder, "select", "c.yaml", "--overwrite")


@pytest.mark.slow
def test_options_override(folder):
    write_jsonl(folder / "other.jsonl", alpaca(30, seed=3))
    out = tamis(
        folder,
        "select",
        "c.yaml",
        "--data",
        "other.jsonl",
        "--budget",
        "50%",
        "--out",
        "o",
        "--store",
        "s",
        "--engine",
        "local",
        "--set",
        "name=named",
    )
    assert "30 rows in, 15 kept" in out
    assert (folder / "o/named/manifest.json").is_file()
    assert (folder / "s/rows").is_dir()
    assert not (folder / "store").exists()


def test_plan_and_score(folder):
    before = tamis(folder, "plan", "c.yaml")
    assert "not read yet" in before
    assert not (folder / "store").exists()
    assert "scores of 40 rows" in tamis(folder, "score", "c.yaml")
    assert "3/3" in tamis(folder, "plan", "c.yaml")


@pytest.mark.slow
def test_a_replay_of_the_run(folder):
    tamis(folder, "select", "c.yaml")
    assert "already done" in tamis(folder, "select", "runs/mine/config.yaml")


def test_help_lists_the_commands(folder):
    out = tamis(folder, "--help")
    assert all(name in out for name in ("select", "score", "plan"))
    assert "tamis 0." in tamis(folder, "--version")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("select", "nowhere.yaml"), "no config 'nowhere.yaml'"),
        (("select", "c.yaml", "--data", "gone.jsonl"), "gone.jsonl"),
        (("select", "c.yaml", "--budget", "lots"), "budget 'lots' is none"),
        (("select", "c.yaml", "--model", "gpt2"), "no signal of the config has one"),
        (("select", "c.yaml", "--engine", "dask"), "'ray' or 'local'"),
        (("select", "c.yaml", "--set", "scorers.long.use=lenght"), "did you mean 'length'"),
        (("select", "c.yaml", "--set", "scorers.long.unit=tokens"), "makes no such column"),
        (("select", "c.yaml", "--set", "selector.by=nothing.score"), "nobody makes"),
        (
            (
                "plan",
                "c.yaml",
                "--set",
                "signals.m={use: forward, model: gone/gone}",
                "--set",
                "scorers.i={use: ifd, signal: m}",
            ),
            "neither a folder nor",
        ),
        (("select", "c.yaml", "--set", "budget={fraction: 0.001}"), "less than one row"),
        (("nonsense",), "No such command"),
    ],
)
def test_a_mistake_ends_with_2_and_one_message(folder, words, message):
    assert message in tamis(folder, *words, code=2)


def test_bad_rows_are_counted_and_named(folder):
    with (folder / "pool.jsonl").open("a") as file:
        file.write('{"instruction": "a", "output": ""}\n{broken\n')
    out = tamis(folder, "select", "c.yaml")
    assert "42 rows in" in out
    assert "empty answer" in out
    assert "bad JSON" in out
    assert "rejected.parquet" in out
    strict = tamis(folder, "select", "c.yaml", "--set", "strict=true", code=2)
    assert "line 41: empty answer (strict is on)" in strict


def test_a_folder_that_cannot_be_written_is_said(folder):
    (folder / "file").touch()
    assert "Not a directory" in tamis(folder, "select", "c.yaml", "--store", "file/store", code=2)
    assert "too long" in tamis(folder, "select", "c.yaml", "--out", "x" * 300, code=2)


@pytest.mark.parametrize(
    ("number", "said", "code"),
    [(signal.SIGINT, "interrupted", 130), (signal.SIGTERM, "terminated", 1)],
)
def test_a_stopped_run_says_so_and_can_be_gone_on_from(folder, number, said, code):
    (folder / "slow.py").write_text(
        "import pathlib, time\n"
        "from tamis.scorers.base import Scorer\n"
        "import pyarrow as pa\n"
        "class Slow(Scorer):\n"
        "    @property\n"
        "    def reads(self):\n"
        "        return pa.schema([])\n"
        "    def score(self, rows, fitted=None):\n"
        "        pathlib.Path('started').touch()\n"
        "        time.sleep(60)\n"
    )
    words = [TAMIS, "select", "c.yaml", "--set", "scorers.slow={use: ./slow.py}", "--allow-code"]
    run = subprocess.Popen(
        words,
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    while not (folder / "started").exists():
        time.sleep(0.05)
    run.send_signal(number)
    assert f"{said}; what is computed is kept" in run.communicate(timeout=20)[1]
    assert run.returncode == code
    tamis(folder, "select", "c.yaml")


def test_python_m(folder):
    done = subprocess.run(
        [sys.executable, "-m", "tamis", "--version"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("tamis ")


def test_a_user_scorer(folder):
    (folder / "mine.py").write_text(
        "import pyarrow as pa\n"
        "from tamis.scorers.base import Scorer, floats\n"
        "class Mine(Scorer):\n"
        "    power: float = 1.0\n"
        "    @property\n"
        "    def reads(self):\n"
        "        return pa.schema([('length.answer_chars', pa.int32())])\n"
        "    def score(self, rows, fitted=None):\n"
        "        return pa.array(floats(rows, 'length.answer_chars') ** self.power)\n"
    )
    block = "scorers.long={use: ./mine.py, power: 2.0}"
    assert "--allow-code" in tamis(folder, "select", "c.yaml", "--set", block, code=2)
    tamis(folder, "select", "c.yaml", "--set", block, "--allow-code")
    steps = json.loads((folder / "runs/mine/manifest.json").read_text())["steps"]
    assert steps[1]["made_by"]["class"] == "Mine"
    assert len(steps[1]["made_by"]["version"]) == 64
    replay = tamis(folder, "select", "runs/mine/config.yaml", code=2)
    assert "--allow-code" in replay


@pytest.mark.parametrize("method", ["fit", "score"])
def test_a_user_scorer_that_ends_the_process_is_a_mistake_and_no_success(folder, method):
    (folder / "mine.py").write_text(
        "import sys\n"
        "from tamis.scorers.random import Random\n"
        "class Mine(Random):\n"
        "    fits_pool = property(lambda self: True)\n"
        f"    def {method}(self, *_):\n"
        "        sys.exit()\n"
    )
    block = "scorers.long={use: ./mine.py}"
    said = tamis(folder, "select", "c.yaml", "--set", block, "--allow-code", code=2)
    assert "code that the config names ended the process (SystemExit: None)" in said


@pytest.mark.slow
def test_warmup_trains_and_says_where(folder, gpt2):
    (folder / "w.yaml").write_text(
        CONFIG.replace(
            "signals: {length: {use: length}}",
            f"signals: {{length: {{use: length}}, grads: {{use: gradient, model: '{gpt2}', "
            "warmup: {share: 0.1, rank: 2, epochs: 2}}}",
        )
    )
    out = tamis(folder, "warmup", "w.yaml")
    assert "grads: epoch 2, loss" in out and "store/warmup-" in out and "mean learning rate" in out
    assert "no signal of this config has a `warmup`" in tamis(folder, "warmup", "c.yaml", code=2)
