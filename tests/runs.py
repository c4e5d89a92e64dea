"""Small runs for the tests of the pipeline."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from tamis.pipeline.config import Config
from tamis.pipeline.logs import Reporter
from tamis.tests.tiny import alpaca, write_jsonl


def quiet() -> Reporter:
    """A reporter that shows nothing."""
    return Reporter(Console(file=io.StringIO()))


def run_config(folder: Path, n: int = 60, **fields: object) -> Config:
    """A run over `n` rows without a model, in this process."""
    path = folder / f"pool-{n}.jsonl"
    if not path.exists():
        rows = alpaca(n)
        for i, row in enumerate(rows):
            row["rating"] = i % 7
        rows[5]["output"] = ""
        write_jsonl(path, rows)
    base = {
        "name": "run",
        "data": [{"name": "pool", "path": str(path)}],
        "part_rows": 16,
        "signals": {"length": {"use": "length"}},
        "scorers": {
            "long": {"use": "length", "unit": "chars"},
            "rated": {"use": "column", "column": "data.rating"},
        },
        "selector": [{"use": "top_k", "by": "long.score"}],
        "budget": {"rows": 10},
        "engine": {"kind": "local"},
        "report": False,  # it takes a second
        "store": str(folder / "store"),
        "out": str(folder / "runs"),
    }
    return Config.model_validate(base | fields, context={"allow_code": True})


def model_config(folder: Path, model: Path, n: int = 60, **fields: object) -> Config:
    """A run over `n` rows with IFD under a tiny model."""
    with_model = {
        "signals": {"base": {"use": "forward", "model": str(model), "dtype": "fp32"}},
        "scorers": {"ifd": {"use": "ifd"}, "random": {"use": "random"}},
        "selector": [
            {"use": "threshold", "by": "ifd.score", "below": 1.0},
            {"use": "top_k", "by": "ifd.score"},
        ],
    }
    return run_config(folder, n, **(with_model | fields))


def hear_ctrl_c() -> None:
    """Undo, in a process that begins, what a shell's background jobs inherit: SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def kill_at(moment: str, config: Config, folder: Path) -> None:
    """Start a run in a process of its own, and SIGKILL all of it when a file is there.

    Args:
        moment: a glob in the folder.
        config: of the run.
        folder: where the process works.
    """
    (folder / "c.yaml").write_text(config.to_yaml())
    process = subprocess.Popen(
        [sys.executable, "-m", "tamis", "select", "c.yaml"],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list(folder.glob(moment)) and process.poll() is None:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list(folder.glob(moment))


def digest(folder: Path) -> dict[str, str]:
    """Hashes of the ledger and everything curated."""
    files = [folder / "ledger.parquet", *sorted((folder / "curated").rglob("*"))]
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file()
    }
