import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tamis.benchmarks.chaos import below, strike

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "chaos.py"
SLEEPER = "import subprocess, sys, time; subprocess.run([sys.executable, '-c', 'input()'])"


def test_finds_what_a_process_has_started_and_kills_it():
    """A process that waits for another one, which waits for a line."""
    run = subprocess.Popen([sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE)
    children = list[str]()
    while not any(words.rstrip().endswith("input()") for words in children):
        children = [words for _, words in below(run.pid)]  # at first the child has its parent's
    assert len(children) == 1
    assert run.pid in dict(below(os.getpid()))
    assert strike(run, "worker") == "driver"  # it has none
    assert run.returncode == -9
    run.stdin.close()


@pytest.mark.chaos
def test_a_few_deaths(tmp_path):
    words = ["--points", "2", "--rows", "200", "--engines", "local", "--out", str(tmp_path / "c")]
    subprocess.run([sys.executable, str(SCRIPT), *words], check=True, cwd=tmp_path)
    record = json.loads((tmp_path / "c").read_text())
    assert record["all_the_same"]
    assert len(record["engines"]["local"]["points"]) == 3
