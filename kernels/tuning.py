"""Autotuning on request: times the candidates for a problem on the GPU that is there.

Nothing calls this by itself. Its answer is for the argument `tile` of `token_stats_triton`. With
another tile sums have another order and the last bits of the results may differ: whoever wants the
same bits on every run keeps the answer and does not tune again.
"""

import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from .logits import LMHead
from .tiles import Tile, candidates
from .token_stats import check
from .token_stats_triton import table_key, token_stats_triton

Timer = Callable[[Callable[[], object]], float]

TOLERANCE = 1e-3  # between tiles, relative and absolute: far above rounding


def fastest_tile(
    hidden: Tensor,
    head: LMHead,
    targets: Tensor,
    stats: Sequence[str] = ("loss",),
    *,
    runs: int = 7,
    timer: Timer | None = None,
) -> tuple[Tile, dict[Tile, float]]:
    """Time each candidate on these tensors and return the fastest.

    Each candidate first runs once, which compiles it (seconds). Then all take turns, so that a
    clock that slows down slows them alike. One whose numbers are not those of the table's tile is
    a fault of the compiler: it is left out, with a warning.

    Args:
        hidden: (tokens, dim), at least one token, on an NVIDIA GPU.
        head: the LM head, on the same device.
        targets: (tokens,) int64 in [0, vocab).
        stats: names out of `STATS`, as in the calls to come: they take registers and time.
        runs: timed runs of each candidate.
        timer: returns the milliseconds that a call of its argument takes; None means CUDA events.

    Returns:
        The fastest tile, and each candidate's median in milliseconds, infinite for one that was
        left out. The table's choice is the first, and the answer among equals.

    Raises:
        ValueError: there is no GPU, no token or no run, a target to be ignored, or what
            `token_stats` raises.
    """
    if timer is None:
        if not hidden.is_cuda:
            raise ValueError(f"tuning needs an NVIDIA GPU; the tensors are on {hidden.device}")
        timer = partial(cuda_milliseconds, device=hidden.device)
    if not len(hidden) or runs < 1:
        raise ValueError(f"nothing to time: {len(hidden)} tokens, {runs} runs")
    head = head.checked()
    if check(hidden, head, targets, stats) < 0:
        raise ValueError("leave out the ignored tokens: they take no time")
    calls = {
        tile: partial(token_stats_triton, hidden, head, targets, stats, tile=tile)
        for tile in candidates(*table_key(hidden.contiguous(), head))
    }
    medians = dict.fromkeys(calls, float("inf"))
    times: dict[Tile, list[float]] = {tile: [] for tile in _agreeing(calls)}
    for _ in range(runs):
        for tile, some in times.items():
            some.append(timer(calls[tile]))
    medians |= {tile: statistics.median(values) for tile, values in times.items()}
    return min(medians, key=medians.__getitem__), medians


def _agreeing(calls: Mapping[Tile, Callable[[], dict[str, Tensor]]]) -> list[Tile]:
    """The tiles whose numbers are those of the first one."""
    first, *others = calls
    expected = calls[first]()
    agreeing = [first]
    for tile in others:
        if differing := _differing(calls[tile](), expected):
            warnings.warn(
                f"{tile} is left out: its {', '.join(differing)} is not that of {first}",
                RuntimeWarning,
                stacklevel=3,
            )
        else:
            agreeing.append(tile)
    return agreeing


def cuda_milliseconds(call: Callable[[], object], device: torch.device) -> float:
    """Time between two events around the work that `call` gives to the GPU."""
    with torch.cuda.device(device):
        start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        start.record()
        call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end))


def _differing(found: dict[str, Tensor], expected: dict[str, Tensor]) -> list[str]:
    """Names of statistics that two tiles do not agree on; ranks may differ where logits tie."""
    return [
        name
        for name, values in found.items()
        if name not in ("rank", "top1")
        and not torch.allclose(values, expected[name], TOLERANCE, TOLERANCE, equal_nan=True)
    ]
