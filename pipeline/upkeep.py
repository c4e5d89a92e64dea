"""What lies in a store, which runs use it, and what may go.

A run uses the columns of its steps on the parts of its pool and targets, the rows of these, and its
warm-ups (`uses`). Runs elsewhere than in the folders that are named count for nothing: name all.
What other processes may still be writing is young, and stays.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from .folder import CONFIG
from .pool import load_pool
from .status import status_of
from .store import FITTED, SPENT, Store
from .uses import Uses, uses_of

POOLS, ROWS = "pools", "rows"
LEFT = (".partial", ".damaged")
YOUNG_S = 3600.0
OF_STEP = (FITTED, "step.json")


@dataclass(frozen=True)
class Entry:
    """A folder of a store.

    Attributes:
        folder: `<use>-<key>`, `warmup-<key>`, `pools` or `rows`.
        n_files, size: files in it, and their bytes.
        runs: that use something of it.
        idle: files that no run needs.
        idle_size: bytes of these.
    """

    folder: Path
    n_files: int
    size: int
    runs: tuple[str, ...]
    idle: tuple[Path, ...]
    idle_size: int


def uses_in(store: Store, outs: Sequence[str]) -> dict[str, Uses]:
    """Return what each run in some folders needs of a store; runs on other stores are left out.

    Raises:
        ConfigError: no such folder, a run that works right now, or one that does not say it.
    """
    found = {}
    for out in outs:
        if not Path(out).is_dir():
            raise ConfigError(f"{out!r} is no folder of runs")
        for run in sorted(path for path in Path(out).iterdir() if (path / CONFIG).is_file()):
            uses = uses_of(run)
            if uses.store != str(store.root.absolute()):
                continue
            if status_of(str(run)).state == "working":
                raise ConfigError(f"{run} works right now; wait until it has ended")
            found[str(run)] = uses
    return found


def look(store: Store, runs: Mapping[str, Uses], now: float | None = None) -> list[Entry]:
    """Return the folders of a store, and what of each no run needs.

    Args:
        store: to look through.
        runs: what each needs.
        now: seconds since 1970, for what counts as young.

    Raises:
        ConfigError: there is no store.
    """
    root = Path(str(store.root))
    if not root.is_dir():
        raise ConfigError(f"{str(root)!r} is no store: there is no such folder")
    before = (time.time() if now is None else now) - YOUNG_S
    parts = {run: _part_names(store, uses) for run, uses in runs.items()}
    return [
        _entry(folder, runs, parts, before)
        for folder in sorted(path for path in root.iterdir() if path.is_dir())
        if folder.name != SPENT  # of runs that are not finished
    ]


def drop(entries: Sequence[Entry]) -> None:
    """Delete the files that no run needs, and the folders that are empty then."""
    for entry in entries:
        for path in entry.idle:
            path.unlink(missing_ok=True)
        folders = sorted((p for p in entry.folder.rglob("*") if p.is_dir()), reverse=True)
        for folder in [*folders, entry.folder]:  # inner ones first
            if not any(folder.iterdir()):
                folder.rmdir()


def _part_names(store: Store, uses: Uses) -> frozenset[str]:
    """The names of all files that belong to the parts of a run."""
    pools = [pool for key in uses.pools if (pool := load_pool(store, key)) is not None]
    return frozenset(name for pool in pools for p in pool.parts for name in (p.hash, p.rows))


def _entry(
    folder: Path,
    runs: Mapping[str, Uses],
    parts: Mapping[str, frozenset[str]],
    before: float,
) -> Entry:
    users = tuple(run for run, uses in runs.items() if _is_used(folder.name, uses))
    n_files = size = idle_size = 0
    idle = []
    for path in _files(folder):
        facts = path.stat()
        n_files, size = n_files + 1, size + facts.st_size
        needed = any(_needs(runs[run], parts[run], folder, path) for run in users)
        if facts.st_mtime < before and not (needed and not path.name.endswith(LEFT)):
            idle.append(path)
            idle_size += facts.st_size
    return Entry(folder, n_files, size, users, tuple(idle), idle_size)


def _is_used(name: str, uses: Uses) -> bool:
    return name in (POOLS, ROWS, *uses.steps, *uses.warmups)


def _needs(uses: Uses, parts: frozenset[str], folder: Path, path: Path) -> bool:
    """Whether a run needs a file of a folder that it uses."""
    inside = path.relative_to(folder).parts
    if folder.name == POOLS:
        return inside[0] in uses.pools
    if folder.name in uses.warmups or inside[-1] in OF_STEP:
        return True
    # <part>.parquet of rows and columns; of later rounds the folder has the part's name
    return bool({path.stem, *inside} & parts)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
