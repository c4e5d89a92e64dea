"""A folder in which the commands of the documentation run as they stand, in seconds.

Names that stand for something of the reader's (`my.jsonl`, `MODEL`) are small files and links.
`tamis`, `make`, `python` and `pip` are found in `bin/` of the folder: `stand_in` runs the real
ones on few rows, and only says what a command would do that is the test itself or fetches packages.
"""

import json
import os
import shlex
import sys
from pathlib import Path

import yaml
from tamis.tests.docs.pages import ROOT, Block

QUICKSTART = ROOT / "configs" / "quickstart"
ROWS = 160  # of `my.jsonl` and others; `tamis prune` calibrates on 128

MODELS = ("gpt2", "MODEL", "DIR", "my/model", "path/to/model", "path/to/pruned")
"""Stand for the embedded model."""
ENCODERS = ("sentence-transformers/all-MiniLM-L6-v2",)
"""Stand for a tiny model of texts."""
LINES = ("my.jsonl", "pool.jsonl", "theirs.jsonl", "examples.jsonl", "bbh.jsonl", "more.jsonl")
LINES += ("gsm8k_train.jsonl", "gsm8k-train.jsonl", "gsm8k-test.jsonl", "mmlu_dev.jsonl")
LISTS = ("alpaca.json", "dolly.json", "genmed.json")
"""Rows of the embedded pool, as JSONL and as one JSON list."""
EXAMS = ("exam.jsonl",)
"""Test sets, of which the pool does not hold everything."""

FOLDERS = ("elsewhere",)
"""Of other runs."""

BASE = {
    "name": "my",
    "data": [{"name": "mine", "path": "my.jsonl"}],
    "signals": {"base": {"use": "forward", "model": "gpt2"}},
    "scorers": {"chance": {"use": "random"}},
    "selector": {"use": "random"},
    "budget": {"rows": 5},
}
"""What a fragment of a config leaves out."""
CONFIGS = {
    "my.yaml": {},
    "my_less.yaml": {
        "name": "my_less",
        "targets": {"examples": {"path": "examples.jsonl", "limit": 2}},
        "signals": {
            "gradient": {
                "use": "gradient",
                "model": "gpt2",
                "dim": 64,
                "warmup": {"share": 0.2, "rank": 2, "epochs": 1, "batch": 8},
            }
        },
        "scorers": {"less": {"use": "influence", "target": "examples"}},
        "selector": {"use": "top_k", "by": "less.score"},
    },
}

SHIM = """#!/bin/sh
exec {python} {script} {name} "$@"
"""


def make_desk(folder: Path, store: Path, text_model: Path) -> Path:
    """Make a folder for the commands of one page.

    Args:
        folder: new or empty.
        store: shared by all pages: what one computed is there for the next.
        text_model: a tiny model in the format of sentence-transformers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("configs", "benchmarks", "constraints.txt", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "store").symlink_to(store)
    for names, model in ((MODELS, QUICKSTART / "model"), (ENCODERS, text_model)):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(model)
    for name in FOLDERS:
        (folder / name).mkdir()
    rows = [row | {"rating": i % 5, "category": f"c{i % 3}"} for i, row in enumerate(_rows())]
    for name in LINES:
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in LISTS:
        (folder / name).write_text(json.dumps(rows))
    for name in EXAMS:
        (folder / name).symlink_to(QUICKSTART / "exam.jsonl")
    for name, fields in CONFIGS.items():
        (folder / name).write_text(yaml.safe_dump(BASE | fields))
    _make_shims(folder)
    return folder


def _rows() -> list[dict[str, object]]:
    with (QUICKSTART / "pool.jsonl").open() as lines:
        return [json.loads(next(lines)) for _ in range(ROWS)]


def _make_shims(folder: Path) -> None:
    script = ROOT / "tests" / "docs" / "stand_in.py"
    for place in (folder / "bin", folder / "venv" / "bin"):
        place.mkdir(parents=True)
        for name in ("tamis", "make", "python", "pip"):
            shim = place / name
            shim.write_text(SHIM.format(python=sys.executable, script=script, name=name))
            shim.chmod(0o755)
    (folder / "venv" / ".ready").touch()  # make finds its environment made


def environment(folder: Path) -> dict[str, str]:
    """The environment of the commands."""
    return os.environ | {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def completed(block: Block) -> dict[str, object]:
    """A config block with what a fragment leaves out."""
    fields = yaml.safe_load(block.text)
    assert isinstance(fields, dict), f"{block} is no config"
    return BASE | fields


def file_name(block: Block) -> str:
    """The name that the first line gives to a block: `# my.yaml` or `# my_scorer.py`; or none."""
    first = block.text.partition("\n")[0].removeprefix("#").split(",")[0].split()
    return first[0] if len(first) == 1 and first[0].endswith((".yaml", ".py")) else ""


def commands(text: str) -> list[list[str]]:
    """The words of each command of a shell block; pipes, redirections and comments are left out."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("|&;<>"):
                if words:
                    found.append(words)
                words = [">"] if ">" in word or "<" in word else []
            else:
                words.append(word)
    return [words for words in found if words[0] != ">"]
