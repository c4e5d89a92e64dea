"""What this machine has: memory that may still be taken, room on a disk, cores.

Memory is what Linux says: `MemAvailable`, and no more than the control groups of this process (as
a container has one) still allow. Elsewhere it is not known.
"""

import os
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from ..stages.locations import Location, is_remote

ROOT = Path("/")
MEMORY_V1 = "memory"  # the controller of version 1, a tree of its own


def n_cores() -> int:
    """Return on how many cores this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory() -> int:
    """Return the bytes that this process has had in memory at most since it began."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024


def memory_in_use() -> int | None:
    """Return the bytes that this process has in memory now; None where it is not known."""
    path = Path("/proc/self/statm")
    if not path.is_file():
        return None
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory_available(root: Path = ROOT) -> int | None:
    """Return the bytes that new work may take without swapping; None where it is not known.

    Args:
        root: where `proc` and `sys` are.
    """
    facts = root / "proc/meminfo"
    if not facts.is_file():
        return None
    lines = (line.split() for line in facts.read_text().splitlines())
    free = next((int(f[1]) * 1024 for f in lines if f[0] == "MemAvailable:"), None)
    return None if free is None else min([free, *_left_in_groups(root)])


def disk_free(path: Location) -> int | None:
    """Return the bytes that are free where a file would be written; None at an address."""
    if is_remote(path):
        return None
    there = path.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def _left_in_groups(root: Path) -> Iterator[int]:
    """Bytes that each control group of this process, and each above it, has left."""
    own = root / "proc/self/cgroup"
    lines = own.read_text().splitlines() if own.is_file() else []
    for number, controllers, path in (line.split(":", 2) for line in lines):
        base, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        if MEMORY_V1 in controllers.split(","):
            base, names = base / MEMORY_V1, (*V1, "total_inactive_file")
        elif number != "0":
            continue
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            if (left := _left(folder, *names)) is not None:
                yield left
            if folder == base:
                break


V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")


def _left(folder: Path, limit: str, used: str, idle: str) -> int | None:
    """Bytes of a group that are free, or of files that are not in use; None without a limit."""
    if not (folder / limit).is_file() or not (folder / used).is_file():
        return None
    most = (folder / limit).read_text().strip()
    if most == "max":
        return None
    stat = folder / "memory.stat"
    facts = (line.split() for line in (stat.read_text().splitlines() if stat.is_file() else ()))
    files = next((int(f[1]) for f in facts if f[0] == idle), 0)
    return max(int(most) - int((folder / used).read_text()) + files, 0)
