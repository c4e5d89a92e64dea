"""The machine: processors, GPUs, memory, disks, files, and what models will run on."""

import os
import resource
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ...stages.locations import is_address, redacted
from ..machine import memory_available, n_cores
from .finding import Check, Finding

GB = 1e9
FILES = 4096  # a pool of Ray's workers, their sockets and logs
SHM_BYTES = 512 << 20  # of Ray's object store, and what else shares it
TIMEOUT_S = 10


def machine_checks(store: str, out: str) -> Iterator[Check]:
    """Yield the checks of a machine whose runs use a store and a folder of runs."""
    yield device
    yield triton
    yield cores
    yield memory
    folders = {"store": store, "runs": out, "temporary files": tempfile.gettempdir()}
    for name, folder in folders.items():
        yield partial(disk, name, folder)
    yield partial(shared_memory, Path("/dev/shm"))
    yield open_files
    yield hub


def device() -> Finding:
    """What models run on, in which dtype."""
    name = "device"
    try:
        from ...stages.hardware import gpus, resolve_dtype

        found = gpus()
    except (ImportError, OSError, RuntimeError) as error:  # the last: of the GPU's driver
        said = f"torch is broken: {str(error).splitlines()[0]}"
        return Finding(name, "MAJOR", said, "see the line of torch")
    if found:
        return Finding(name, "OK", f"{'; '.join(found)}; auto: {resolve_dtype('auto', 'cuda')}")
    dtype = resolve_dtype("auto", "cpu")
    if dtype == "bf16":
        return Finding(name, "OK", "no GPU; the processor multiplies bf16 itself, auto: bf16")
    said = "no GPU, and the processor does not multiply bf16 itself, auto: fp32"
    return Finding(name, "MINOR", said, "models are slow here; take a small one, or a GPU")


def triton() -> Finding:
    """What computes the statistics of a model."""
    name = "kernels"
    try:
        from ...kernels.backend import choose
        from ...stages.hardware import gpus

        if not gpus():
            return Finding(name, "OK", "by torch; Triton needs a GPU, and there is none")
        choose("triton", "cuda")
    except (ImportError, OSError, RuntimeError) as error:
        said = f"torch is broken: {str(error).splitlines()[0]}"
        return Finding(name, "MAJOR", said, "see the line of torch")
    except ValueError as error:
        advice = "statistics are computed by torch, slower and in more memory"
        return Finding(name, "MINOR", str(error), advice)
    return Finding(name, "OK", "by Triton on the GPU")


def cores() -> Finding:
    """How many processors a run may use: a worker each, by default."""
    return Finding("processors", "OK", f"{n_cores()}, of {os.cpu_count()} of the machine")


def memory() -> Finding:
    """How much memory there is, and may still be taken."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = memory_available()
    if free is None:
        return _fine("memory", f"{total / GB:.1f} GB; how much is free is not known here")
    said = f"{free / GB:.1f} GB free of {total / GB:.1f} GB"
    advice = "each worker holds a model of its own: fewer of them, engine.workers"
    if free < 1 * GB:
        return Finding("memory", "MAJOR", said, advice)
    return Finding("memory", "MINOR", said, advice) if free < 3 * GB else _fine("memory", said)


def disk(name: str, folder: str) -> Finding:
    """How much room there is where a folder lies or will lie, and whether it may be written.

    Args:
        name: what the folder is for.
        folder: its path; one at an address is not looked at.
    """
    if is_address(folder):
        return _fine(name, f"{redacted(folder)}: at an address, seen when a run starts")
    path = Path(folder).absolute()
    there = next(p for p in (path, *path.parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding(name, "MAJOR", f"{path} cannot be written", "choose another folder")
    free = shutil.disk_usage(there).free
    said = f"{free / GB:.1f} GB free at {path}"
    if free < 1 * GB:
        return Finding(name, "MAJOR", said, "make room, or choose another folder")
    if free < 10 * GB:
        advice = "enough for scores; gradients and embeddings of a large pool take more"
        return Finding(name, "MINOR", said, advice)
    return _fine(name, said)


def shared_memory(path: Path) -> Finding:
    """Whether Ray finds room for its object store."""
    name = "shared memory"
    if not path.is_dir():
        return _fine(name, f"no {path} here; Ray takes the temporary folder")
    free = shutil.disk_usage(path).free
    said = f"{free / GB:.2f} GB free at {path}"
    if free < SHM_BYTES:
        advice = "Ray takes the temporary folder, which is slower; in a container: --shm-size=1g"
        return Finding(name, "MINOR", said, advice)
    return _fine(name, said)


def open_files() -> Finding:
    """How many files and sockets a process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = "no limit" if soft == resource.RLIM_INFINITY else f"{soft:,} (at most {hard:,})"
    if soft != resource.RLIM_INFINITY and soft < FILES:
        advice = "with many workers Ray needs more: ulimit -n 65536"
        return Finding("open files", "MINOR", said, advice)
    return _fine("open files", said)


def hub() -> Finding:
    """Whether models and data of the hub would be fetched."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return _fine("hub", "HF_HUB_OFFLINE is set: only what was fetched before")
    return _fine("hub", "models and data are fetched when a config names them (seen by --online)")


def hub_reached() -> Finding:
    """Whether the hub answers."""
    from huggingface_hub.constants import ENDPOINT

    where = redacted(ENDPOINT)
    try:
        with urllib.request.urlopen(f"{ENDPOINT}/api/models?limit=1", timeout=TIMEOUT_S) as answer:
            return _fine("hub, online", f"{where} answers {answer.status}")
    except (OSError, ValueError) as error:
        advice = "fetch models elsewhere, and name their folders; a proxy: HTTPS_PROXY"
        return Finding("hub, online", "MINOR", f"{where}: {redacted(error)}", advice)


def _fine(name: str, said: str) -> Finding:
    return Finding(name, "OK", said)
