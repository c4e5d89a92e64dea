"""What the benchmarks of divergence and projection share: times, memory and the record."""

import json
import multiprocessing as mp
import platform
import statistics
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import kernels  # the benchmark beside this file, which finds the package without an installation

DTYPES = kernels.DTYPES


def timings(call: Callable[[], Tensor], device: str, repeats: int) -> dict[str, Any]:
    """Milliseconds of each call after the first, and the MB of the first beyond its start."""
    with kernels.memory(device) as peak:
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        peak_mb = peak()
    times = [1e3 * kernels.timed(lambda _: call(), None, device)[0] for _ in range(repeats)]
    return {
        "ms": round(statistics.median(times), 3),
        "ms_least": round(min(times), 3),
        "ms_most": round(max(times), 3),
        "peak_mb": round(peak_mb, 1),
    }


def forked(work: Callable[[], dict[str, Any]], device: str) -> dict[str, Any]:
    """Run in a fork on one thread, so that the peak of memory is its own; on a GPU, here."""
    if device == "cuda":
        return work()

    def send(pipe: Connection) -> None:
        torch.set_num_threads(1)
        pipe.send(work())

    here, there = mp.Pipe()
    process = mp.get_context("fork").Process(target=send, args=(there,))
    process.start()
    there.close()
    try:
        found: dict[str, Any] = here.recv()
    except EOFError:
        found = {"failed": "ended without a result (out of memory?)"}
    process.join()
    return found


def write(name: str, device: str, out: Path | None, results: dict[str, Any]) -> None:
    """Write the record of a benchmark."""
    record = {
        "machine": torch.cuda.get_device_name() if device == "cuda" else platform.machine(),
        "torch": torch.__version__,
        "device": device,
    }
    out = out or kernels.ROOT / "benchmarks/results" / f"{name}-{device}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record | results, indent=1) + "\n")
    print(f"written to {out}")
