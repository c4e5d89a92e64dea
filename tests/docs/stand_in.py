"""`tamis`, `make`, `python` or `pip` of a documented command: the real one, made short.

    python stand_in.py tamis select ifd

Not imported: a script that the shell runs (see `desk`).
"""

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = "48"  # rows of every run

TRIALS = {
    "kernels.py": "--tokens 8 --repeats 1 --shapes gpt2",
    "divergence.py": "--tokens 8 --dim 16 --vocab 64 --repeats 1",
    "projection.py": "--rows 4 --width 256 --k 16 --dim 16 --repeats 1",
    "gradients.py": "--shapes small --rows 4 --dim 64 --repeats 1",
    "influence.py": "--rows 64 --dim 64 --repeats 1",
    "copies.py": "--rows 12 --budget 0.1 --seeds 0 1",
    "tshirt.py": "--rows 2 --loop-rows 1 --dtypes fp32 --rounds 3 30",
    "targeted.py": "--sample 40 --dim 64 --narrow 32 --share 0.5 --batch 4 --examples 4",
}
"""Options that make a benchmark short; of an option that is given twice the last one counts."""

DRY = ("install", "test", "test-all", "test-gpu", "check", "lint", "types", "format", "bench")
DRY += ("bench-paser", "chaos", "quickstart", "clean")
"""Targets of `make` that are the tests themselves, take hours or change the checkout."""


def tamis(words: list[str]) -> list[str]:
    """The command on few rows, in one process, or on two workers where it wants several."""
    words = [re.sub(r"workers=\d+$", "workers=2", word) for word in words]
    command = words[0] if words else ""
    is_new = len(words) > 1 and "runs/" not in words[1]  # a replay takes the rows it had
    if command in ("plan", "select", "score", "warmup", "agreement", "sweep") and is_new:
        words += [] if "--limit" in words else ["--limit", LIMIT]
    computes = command in ("select", "score", "agreement", "sweep") or "--measure" in words
    if computes and is_new and "--engine" not in words:
        words += ["--engine", "local"]
    return [sys.executable, "-m", "tamis", *words]


def make(words: list[str]) -> list[str]:
    """The target of the checkout's Makefile, with `tamis` of this folder."""
    dry = ["-n"] if any(word in DRY for word in words) else []
    return ["/usr/bin/make", "-f", str(ROOT / "Makefile"), "VENV=venv", *dry, *words]


def python(words: list[str]) -> list[str]:
    """The script; a benchmark on little, its figures into this folder."""
    script = Path(words[0]).name if words else ""
    if script in TRIALS:
        words += [*TRIALS[script].split(), "--out", "figures.json"]
    return [sys.executable, *words]


def pip(words: list[str]) -> list[str]:
    """Nothing but what would be done: tests fetch no packages."""
    assert words[0] == "install", words
    return ["echo", "would install", *words[1:]]


if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    line = {"tamis": tamis, "make": make, "python": python, "pip": pip}[name](rest)
    sys.stdout.flush()
    os.execvp(line[0], line)
