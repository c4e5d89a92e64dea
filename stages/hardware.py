"""What `auto` means on the machine at hand: the dtype of a model, and what computes statistics."""

import gc
import os

import torch

from ..errors import ModelError
from ..kernels.backend import Asked, Backend, choose

CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")  # of oneDNN, of PyTorch
SHAPES = 64  # several batches of a model, whose layers share theirs


def check_device(model: str, device: str) -> None:
    """Check that a model can run there.

    Args:
        model: its name, for the message.
        device: cpu or cuda.

    Raises:
        ModelError: there is no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"model {model!r}: device is cuda, but there is no GPU here")


def resolve_dtype(dtype: str, device: str) -> str:
    """Return fp32, bf16 or fp16 for `auto`: bf16 where the processor multiplies it itself."""
    if dtype != "auto":
        return dtype
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if _cpu_has_bf16() else "fp32"


def resolve_kernel(kernel: Asked, device: str) -> Backend:
    """Return what computes the statistics: for `auto` Triton on a GPU that it runs on, else torch.

    Raises:
        ModelError: Triton was asked for and cannot run there.
    """
    try:
        return choose(kernel, device)
    except ValueError as error:
        raise ModelError(f"kernel: {error}") from error


def gpus() -> list[str]:
    """Return a line for each GPU of NVIDIA's: name, compute capability, memory free and in all."""
    found = []
    for place in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        facts = torch.cuda.get_device_properties(place)
        free, total = torch.cuda.mem_get_info(place)
        room = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
        found.append(f"{facts.name} (sm_{facts.major}{facts.minor}, {room})")
    return found


def _cpu_has_bf16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def gpu_peak() -> int:
    """Return the GPU bytes that this process held at most since the last call; 0: there is none."""
    if not torch.cuda.is_available():
        return 0
    found = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return found


def gpu_free() -> int | None:
    """Return the bytes that are free on the GPU; None without one."""
    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else None


def n_gpus() -> int:
    """Return how many GPUs there are."""
    return torch.cuda.device_count()


def bound_shapes() -> None:
    """Let PyTorch on a processor keep compiled products of so many shapes, and no more.

    Both of its caches keep 1,024 by default, and a pool of rows of all lengths has as many: over a
    gigabyte for a small model. They are read at the first product; what is set already stays.
    """
    for cache in CACHES:
        os.environ.setdefault(cache, str(SHAPES))


def free_memory() -> None:
    """Give back what nothing refers to any more, on the GPU too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
