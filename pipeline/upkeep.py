"""What lies in a store, here or at an address, which runs use it, and what may go.

A run uses the columns of its steps on the parts of its pool and targets, the rows of these, and its
warm-ups (`uses`). Runs elsewhere than in the folders that are named count for nothing: name all.
What other processes may still be writing is young, and stays.
"""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import ConfigError
from ..stages.answers import FOLDER as ANSWERS
from ..stages.locations import Location, is_remote, locate, same_or_below
from ..stages.remote import is_file
from .files import Listed, files_below, names, remove_files
from .folder import CONFIG
from .pool import load_pool
from .status import is_preparing, prepared_name, status_of
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
        folder: `<use>-<key>`, `warmup-<key>`, `pools`, `rows` or `answers`.
        n_files, size: files in it, and their bytes.
        runs: that use something of it.
        idle: files that no run needs.
    """

    folder: Location
    n_files: int
    size: int
    runs: tuple[str, ...]
    idle: tuple[Listed, ...]

    @property
    def idle_size(self) -> int:
        """Bytes of the files that no run needs."""
        return sum(file.size for file in self.idle)


def uses_in(store: Store, outs: Sequence[str]) -> dict[str, Uses]:
    """Return what each run in some folders needs of a store; runs on other stores are left out.

    Raises:
        ConfigError: no such folder, a run that works right now, or one that does not say it.
    """
    found = {}
    for out in outs:
        folder = locate(out)
        runs = sorted(names(folder))
        if not runs and not _is_folder(folder):
            raise ConfigError(f"{out!r} is no folder of runs")
        for name in (name for found in runs if (name := prepared_name(found))):
            if is_preparing(folder / name):  # what it needs is not known yet
                raise ConfigError(f"{folder / name} works right now; wait until it has ended")
        for run in (folder / name for name in runs):
            if not is_file(run / CONFIG):
                continue
            uses = uses_of(run)
            if not _is_one(locate(uses.store), store.root.absolute()):
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
        ConfigError: there is no store, or it does not say which parts a run has.
    """
    files = files_below(store.root)
    if not files and not _is_folder(store.root):
        raise ConfigError(f"{str(store.root)!r} is no store: there is no such folder")
    before = (time.time() if now is None else now) - YOUNG_S
    parts = {run: _part_names(store, run, uses) for run, uses in runs.items()}
    inner = [file for file in files if len(file.inside) > 1]
    return [
        _entry(store.root / name, list(own), runs, parts, before)
        for name, own in itertools.groupby(inner, lambda file: file.inside[0])
        if name != SPENT  # of runs that are not finished
    ]


def drop(entries: Sequence[Entry]) -> None:
    """Delete the files that no run needs, and the folders that are empty then."""
    for entry in entries:
        remove_files(entry.folder, entry.idle)


def _is_folder(path: Location) -> bool:
    """Whether an empty folder is there; at an address there is no such thing."""
    return not is_remote(path) and path.is_dir()


def _is_one(one: Location, other: Location) -> bool:
    """Whether two addresses are of one folder; a symbolic link or `..` may lie on the way."""
    return same_or_below(one, other) and same_or_below(other, one)


def _part_names(store: Store, run: str, uses: Uses) -> frozenset[str]:
    """The names of all files that belong to the parts of a run.

    Raises:
        ConfigError: nothing can be said of them, so that everything would seem to be idle.
    """
    found = set()
    for key in uses.pools:
        if (pool := load_pool(store, key)) is None:
            raise ConfigError(
                f"{run} needs the pool {key}, of which the store has no readable pool.json; run "
                f"its {CONFIG} again, or remove the folder"
            )
        found |= {name for part in pool.parts for name in (part.hash, part.rows)}
    return frozenset(found)


def _entry(
    folder: Location,
    files: Sequence[Listed],
    runs: Mapping[str, Uses],
    parts: Mapping[str, frozenset[str]],
    before: float,
) -> Entry:
    users = tuple(run for run, uses in runs.items() if _is_used(folder.name, uses))
    if folder.name == ANSWERS:  # that were paid for, whichever run comes next
        return Entry(folder, len(files), sum(file.size for file in files), users, ())
    idle = []
    for file in files:
        own = Listed(file.inside[1:], file.size, file.modified)
        needed = any(_needs(runs[run], parts[run], folder.name, own.inside) for run in users)
        if own.modified < before and not (needed and not own.inside[-1].endswith(LEFT)):
            idle.append(own)
    return Entry(folder, len(files), sum(file.size for file in files), users, tuple(idle))


def _is_used(name: str, uses: Uses) -> bool:
    return name in (POOLS, ROWS, *uses.steps, *uses.warmups)


def _needs(uses: Uses, parts: frozenset[str], folder: str, inside: tuple[str, ...]) -> bool:
    """Whether a run needs a file of a folder that it uses."""
    if folder == POOLS:
        return inside[0] in uses.pools
    if folder in uses.warmups or inside[-1] in OF_STEP:
        return True
    # <part>.parquet of rows and columns; of later rounds the folder has the part's name
    return bool({inside[-1].partition(".")[0], *inside} & parts)
