"""What the benchmarks of the kernels share: time, memory and the record that is written."""

import json
import multiprocessing as mp
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Call = Callable[[], Tensor | None]


def device_here() -> str:
    """Return cuda where there is a GPU; else cpu, and then this process takes one thread."""
    if torch.cuda.is_available():
        return "cuda"
    torch.set_num_threads(1)  # threads do not outlive a fork
    return "cpu"


@contextmanager
def memory(device: str) -> Iterator[Callable[[], float]]:
    """Give a function that returns the MB in use at the peak of the block beyond its start."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = float(torch.cuda.memory_allocated())
        yield lambda: (torch.cuda.max_memory_allocated() - before) / 1e6
        return
    before = float(_resident())
    yield lambda: max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before, 0) / 1e6


def _resident() -> int:
    """Bytes of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def timed(call: Call, device: str) -> tuple[float, Tensor | None]:
    """Milliseconds of one call, of the GPU or of this process's own processor time; its result."""
    if device == "cuda":
        begin, end = (
            torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            for _ in range(2)
        )
        begin.record()
        found = call()
        end.record()
        torch.cuda.synchronize()
        return begin.elapsed_time(end), found
    started = time.process_time()
    found = call()
    return 1e3 * (time.process_time() - started), found


def timings(call: Call, device: str, repeats: int) -> tuple[dict[str, Any], Tensor | None]:
    """Time all calls after the first; of the first, memory and result."""
    with memory(device) as peak:
        _, found = timed(call, device)
        peak_mb = peak()
    times = [timed(call, device)[0] for _ in range(repeats)]
    return {
        "ms": round(statistics.median(times), 3),
        "ms_least": round(min(times), 3),
        "ms_most": round(max(times), 3),
        "peak_mb": round(peak_mb, 1),
    }, found


def apart(name: str, work: Callable[[], dict[str, Any]], device: str) -> dict[str, Any]:
    """Run in a fork, so that the peak of memory is the method's own; on a GPU, here."""
    if device == "cuda":
        try:
            return {"method": name} | work()
        except torch.OutOfMemoryError as error:
            return {"method": name, "failed": str(error).splitlines()[0]}

    def send(pipe: Connection) -> None:
        pipe.send(work())

    here, there = mp.Pipe()
    process = mp.get_context("fork").Process(target=send, args=(there,))
    process.start()
    there.close()
    found: dict[str, Any] = {"method": name}
    try:
        found |= here.recv()
    except EOFError:
        found["failed"] = "ended without a result (out of memory?)"
    process.join()
    return found


def write(name: str, out: Path | None, results: dict[str, Any]) -> None:
    """Write the record of a benchmark to `out`, or to benchmarks/results/<name>.json."""
    gpu = torch.cuda.is_available()
    record = {
        "machine": torch.cuda.get_device_name() if gpu else processor(),
        "torch": torch.__version__,
        "device": "cuda" if gpu else "cpu, one thread",
    }
    out = out or ROOT / "benchmarks/results" / f"{name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record | results, indent=1) + "\n")
    print(f"written to {out}")


def processor() -> str:
    """Return the name of the processor, such as AMD EPYC, as the system says it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
