"""The folder of a run: claimed at its start, finished by its manifest, never overwritten."""

import fcntl
import itertools
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError
from .config import Config
from .store import whole_file

MANIFEST, CONFIG, USES = "manifest.json", "config.yaml", "uses.json"
CURATED = ".curated.partial"  # becomes `curated` when it is whole
RESULTS = (MANIFEST, USES, "status.json", "ledger.parquet", "rejected.parquet", "curated", CURATED)
NOT_COMPARED = ("engine", "store", "out")  # they change no result


@dataclass(frozen=True)
class RunFolder:
    """Where a run lives.

    Attributes:
        path: `<out>/<name>`, with a number where other runs have the name.
        is_done: it was finished before, with the same result.
        lock: held while it is filled; the system gives it up when the process ends, however.
    """

    path: Path
    is_done: bool = False
    lock: int | None = None

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of a finished run."""
        found: dict[str, Any] = json.loads((self.path / MANIFEST).read_text("utf-8"))
        return found

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest, which makes the run complete."""
        with whole_file(self.path / MANIFEST) as partial:
            partial.write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", "utf-8")

    def prepare(self, config: Config) -> None:
        """Remove what an earlier start left, and write down what is run."""
        try:
            if any(self.path.iterdir()):
                _clear(self.path)
            with whole_file(self.path / CONFIG) as partial:
                partial.write_text(config.to_yaml(), "utf-8")
        except BaseException:  # whatever it is, nobody will fill the folder
            self.release()
            raise

    def release(self) -> None:
        """Let another process have the folder."""
        if self.lock is not None:
            os.close(self.lock)


def claim(config: Config, fingerprint: str, overwrite: bool = False) -> RunFolder:
    """Return the folder of a run: of a finished one with the same result, or one to fill.

    Args:
        config: its `out` and `name` say where.
        fingerprint: of the result.
        overwrite: remove another run that has the name.

    Raises:
        ConfigError: `overwrite` of something that is not a run, or another process fills it.
    """
    for number in itertools.count(1):
        suffix = "" if number == 1 else f"-{number}"
        path = Path(config.out) / f"{config.name}{suffix}"
        path.mkdir(parents=True, exist_ok=True)
        lock = _lock(path)
        if lock is None:
            if overwrite or _is_same(path, config):
                raise ConfigError(
                    f"another process fills {path}; wait for it, or choose another out or name"
                )
            continue
        folder = RunFolder(path, lock=lock)
        if overwrite or not any(path.iterdir()) or _is_same(path, config):
            folder.prepare(config)
            return folder
        folder.release()
        if _is_done(path, fingerprint):
            return RunFolder(path, is_done=True)
    raise AssertionError  # numbers do not end


def _lock(path: Path) -> int | None:
    """A handle that locks a folder, or None where another process has it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _is_done(path: Path, fingerprint: str) -> bool:
    manifest = path / MANIFEST
    if not manifest.is_file():
        return False
    try:
        found = json.loads(manifest.read_text("utf-8"))
        files = {path / name: facts["bytes"] for name, facts in found["files"].items()}
        whole = all(file.is_file() and file.stat().st_size == n for file, n in files.items())
        return bool(whole and found["fingerprint"] == fingerprint)
    except (ValueError, TypeError, KeyError, AttributeError):
        return False  # not a manifest of ours


def _is_same(path: Path, config: Config) -> bool:
    """Whether an unfinished run of the same config stands there."""
    if (path / MANIFEST).exists() or not (path / CONFIG).is_file():
        return False
    try:
        before = yaml.safe_load((path / CONFIG).read_text("utf-8"))
    except (yaml.YAMLError, ValueError):
        return False
    if not isinstance(before, dict):
        return False
    now = yaml.safe_load(config.to_yaml())
    for key in NOT_COMPARED:
        before.pop(key, None)
        now.pop(key, None)
    return bool(before == now)


def _clear(path: Path) -> None:
    """Remove what an unfinished or overwritten run left behind, and nothing else."""
    if not (path / CONFIG).is_file():
        raise ConfigError(f"{path} is not the folder of a run, and is not overwritten")
    for name in RESULTS:
        entry = path / name
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)
