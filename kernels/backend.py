"""The one place that decides whether Triton or torch computes, and how a Triton module says so.

The choice is made once, from what the config asks for and where the tensors are; the caller writes
the answer into the manifest. What was asked for explicitly either runs or is an error: it is never
replaced by the other. Nothing heavy is imported before it is needed.
"""

import os
from dataclasses import dataclass
from typing import Literal

Asked = Literal["auto", "torch", "triton"]
Backend = Literal["torch", "triton"]

MIN_CAPABILITY = (8, 0)


@dataclass(frozen=True)
class CompileCase:
    """One kernel configuration that the tests compile ahead of time, without a GPU.

    A Triton module declares its own in ``compile_cases(capability: int) -> list[CompileCase]``,
    with the capability as 80, 86, 90, 100 or 120: all that its table can choose there.

    Attributes:
        kernel: the function decorated with ``triton.jit``, autotuned or not.
        signature: type of each argument that is no constexpr: ``*bf16``, ``*fp32``, ``i32``, ...
        constexprs: value of each constexpr, and of each other argument that Triton makes one at a
            launch: those that are 1 or None.
        num_warps: warps per program, as given at a launch.
        num_stages: depth of the software pipeline.
        divisible: integer arguments that are multiples of 16 at a launch. Pointers always count
            as aligned to 16 bytes. Triton then makes wider loads: another kernel.
    """

    kernel: object
    signature: dict[str, str]
    constexprs: dict[str, object]
    num_warps: int
    num_stages: int
    divisible: tuple[str, ...] = ()


def interpreting() -> bool:
    """Tell whether Triton kernels run in its interpreter, which also takes tensors on a CPU.

    There ``tl.dot`` of bf16 is silently wrong (triton issue 11584): kernels convert to fp32 first.
    """
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "yes", "on", "y")


def choose(asked: Asked, device: str) -> Backend:
    """Return what computes on `device`.

    Args:
        asked: "auto" takes Triton on an NVIDIA GPU of capability 8.0 or more where Triton can be
            imported, else torch. The two others are taken at their word.
        device: as torch names it, such as "cpu" or "cuda:1".

    Raises:
        ValueError: Triton was asked for and cannot run there, or the choice is unknown.
    """
    if asked not in ("auto", "torch", "triton"):
        raise ValueError(f"unknown backend {asked!r}; allowed: auto, torch, triton")
    no_gpu = not device.startswith("cuda")
    if asked == "torch" or (asked == "auto" and no_gpu):
        return "torch"  # without a GPU there is only the interpreter, which is for tests
    obstacle = _obstacle(device)
    if asked == "auto":
        return "torch" if obstacle else "triton"
    if obstacle:
        raise ValueError(f"backend triton cannot run on {device}: {obstacle}")
    return "triton"


def _obstacle(device: str) -> str | None:
    """What keeps Triton from running on `device`, or None."""
    if not device.startswith("cuda"):
        if not interpreting():
            return "it needs an NVIDIA GPU, or TRITON_INTERPRET=1 for tests; choose auto or torch"
    else:
        import torch

        if torch.version.hip is not None or not torch.cuda.is_available():
            return "torch sees no NVIDIA GPU; choose auto or torch"
        capability = torch.cuda.get_device_capability(torch.device(device))
        if capability < MIN_CAPABILITY:
            found, least = (".".join(map(str, c)) for c in (capability, MIN_CAPABILITY))
            return f"its compute capability is {found}, and {least} is needed; choose auto or torch"
    try:
        import triton  # noqa: F401
    except ImportError as error:
        return f"triton cannot be imported ({error}); choose auto or torch"
    return None
