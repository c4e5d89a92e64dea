"""The folder of a run: claimed at its start, finished by its manifest, never overwritten.

Where it is at an address, its files are made in a temporary folder of this machine and sent when
they are all there, the manifest last; the log is sent with every renewal of the lease.
"""

import itertools
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from ..errors import ConfigError, RemoteError
from ..stages.locations import Location, is_remote, locate
from ..stages.remote import is_file
from .config import Config
from .files import names, read, remove, send, size, sync, whole_file
from .lock import PREFIX, Lock, holder, lock

log = logging.getLogger(__name__)

MANIFEST, CONFIG, USES = "manifest.json", "config.yaml", "uses.json"
LOG, STATUS = "log.jsonl", "status.json"
SCORES = "scores.parquet"  # all that `tamis score` leaves
CURATED = ".curated.partial"  # becomes `curated` when it is whole
LIVE = (LOG, STATUS)  # sent to an address while the run goes on
REPORT = "report.html"
RESULTS = (
    *(MANIFEST, USES, STATUS, REPORT),
    *("ledger.parquet", "rejected.parquet", "curated", CURATED),
)
SAID_S = 5.0  # between taking a folder and saying in it what is run, at the most
NOT_COMPARED = ("engine", "limits", "store", "out", "sweep", "report")  # they change no result


@dataclass(frozen=True)
class RunFolder:
    """Where a run lives.

    Attributes:
        path: `<out>/<name>`, with a number where other runs have the name.
        is_done: it was finished before, with the same result.
        lock: held while it is filled.
        made_in: while it is filled at an address, where on this machine its files are made.
    """

    path: Location
    is_done: bool = False
    lock: Lock | None = None
    made_in: "TemporaryDirectory[str] | None" = None

    @property
    def work(self) -> Path:
        """Where its files are made."""
        if self.made_in is not None:
            return Path(self.made_in.name)
        assert not is_remote(self.path), f"{self.path} is not being filled"
        return self.path

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of a finished run."""
        found: dict[str, Any] = json.loads(read(self.path / MANIFEST))
        return found

    def finish(self, manifest: Mapping[str, Any], names: Sequence[str] = ()) -> None:
        """Send what was made, then write the manifest, which makes the run complete.

        Args:
            manifest: of the run.
            names: of files and folders.

        Raises:
            ConfigError: another process took the folder over in the meantime.
        """
        if self.lock is not None:
            self.lock.check()  # else what the other process has made would be replaced
        if is_remote(self.path):
            self.publish(names)
        else:
            sync(self._files(names))  # a machine that dies must not leave just the manifest
        if self.lock is not None:
            self.lock.check()
        with whole_file(self.path / MANIFEST) as partial:
            partial.write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", "utf-8")

    def publish(self, names: Sequence[str]) -> None:
        """Send files and folders from where they were made to the folder of the run."""
        if not is_remote(self.path):
            return
        for file in self._files(names):
            send(file, self.path / file.relative_to(self.work).as_posix())

    def _files(self, names: Sequence[str]) -> Iterator[Path]:
        """The files of this machine that some names stand for."""
        for name in names:
            found = sorted((self.work / name).rglob("*")) or [self.work / name]
            yield from (file for file in found if file.is_file())

    def prepare(self, config: Config) -> None:
        """Remove what an earlier start left, and write down what is run."""
        try:
            if _entries(self.path):
                _clear(self.path)
            if is_remote(self.path) and is_file(self.path / LOG):
                (self.work / LOG).write_bytes(read(self.path / LOG))  # the log goes on
            with whole_file(self.work / CONFIG) as partial:
                partial.write_text(config.to_yaml(), "utf-8")
            self.publish([CONFIG])
        except BaseException:  # whatever it is, nobody will fill the folder
            self.release()
            raise

    def release(self) -> None:
        """Let another process have the folder."""
        try:
            if self.made_in is not None:
                if self.lock is not None:
                    self.lock.check()
                self.publish(LIVE)
        except (RemoteError, ConfigError) as error:  # whatever ended the run is said in its place
            log.warning("the end of the log is lost: %s", error)
        finally:
            if self.lock is not None:
                self.lock.release()
            if self.made_in is not None:
                self.made_in.cleanup()


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
        path = locate(config.out) / f"{config.name}{suffix}"
        folder = _locked(path)
        if folder is None:
            _wait_until_said(path)
            if not overwrite and _is_done(path, fingerprint):  # its report is still being drawn
                return RunFolder(path, is_done=True)
            if overwrite or _is_same(path, config):
                raise ConfigError(
                    f"another process fills {path}{holder(path)}; wait for it, or choose another "
                    f"out or name"
                )
            continue
        if overwrite or not _entries(path) or _is_same(path, config):
            folder.prepare(config)
            return folder
        folder.release()
        if _is_done(path, fingerprint):
            return RunFolder(path, is_done=True)
    raise AssertionError  # numbers do not end


def _locked(path: Location) -> RunFolder | None:
    """A folder that no other process fills, or None."""
    if not is_remote(path):
        path.mkdir(parents=True, exist_ok=True)
        held = lock(path)
        return None if held is None else RunFolder(path, lock=held)
    made_in = TemporaryDirectory(prefix="tamis-run-")
    held = lock(path, lambda: RunFolder(path, made_in=made_in).publish(LIVE))
    if held is None:
        made_in.cleanup()
        return None
    return RunFolder(path, lock=held, made_in=made_in)


def _wait_until_said(path: Location) -> None:
    """Wait until whoever has just taken a folder says in it what is run."""
    end = time.monotonic() + SAID_S
    while not is_file(path / CONFIG) and time.monotonic() < end:
        time.sleep(0.05)


def _entries(path: Location) -> set[str]:
    return {name for name in names(path) if not name.startswith(PREFIX)}


def _is_done(path: Location, fingerprint: str) -> bool:
    if not is_file(path / MANIFEST):
        return False
    try:
        found = json.loads(read(path / MANIFEST))
        if found["fingerprint"] != fingerprint:
            return False
        files = {path / name: facts["bytes"] for name, facts in found["files"].items()}
        broken = [str(file) for file, n in files.items() if size(file) != n]
    except (ValueError, TypeError, KeyError, AttributeError):
        broken = [str(path / MANIFEST)]  # or not one of ours
    if broken:
        log.warning("%s is damaged or gone; the run is made anew beside it", broken[0])
    return not broken


def _is_same(path: Location, config: Config) -> bool:
    """Whether an unfinished run of the same config stands there."""
    if is_file(path / MANIFEST) or not is_file(path / CONFIG):
        return False
    try:
        before = yaml.safe_load(read(path / CONFIG).decode())
    except (yaml.YAMLError, ValueError):
        return False
    return isinstance(before, dict) and _compared(before, config) == what_decides(config)


def what_decides(config: Config) -> dict[str, Any]:
    """Return what of a config decides its result, in plain values."""
    return _compared(yaml.safe_load(config.to_yaml()), config)


def _compared(fields: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """The fields that decide, without those of its blocks that change no result."""
    kept = {name: value for name, value in fields.items() if name not in NOT_COMPARED}
    for section in ("signals", "scorers", "filters"):
        blocks = kept.get(section)
        if isinstance(blocks, dict):
            neutral = {name: block.neutral for name, block in getattr(config, section).items()}
            kept[section] = {
                name: _without(block, neutral.get(name, frozenset()))
                for name, block in blocks.items()
            }
    return kept


def _without(block: object, names: frozenset[str]) -> object:
    if not isinstance(block, dict):
        return block
    return {name: value for name, value in block.items() if name not in names}


def _clear(path: Location) -> None:
    """Remove what an unfinished or overwritten run left behind, and nothing else."""
    if not is_file(path / CONFIG):
        raise ConfigError(f"{path} is not the folder of a run, and is not overwritten")
    for name in RESULTS:
        remove(path / name)
