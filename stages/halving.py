"""When memory runs out: batches are run in halves, by a rule that depends on the batch alone."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from ..errors import WorkerError

log = logging.getLogger(__name__)


def run_halving(
    batch: Sequence[int],
    lengths: Sequence[int],
    run: Callable[[Sequence[int]], None],
    advice: str = "set max_tokens lower, or run with fewer workers",
) -> int:
    """Run a batch; out of memory, run its first half, then its second, down to one sequence.

    Args:
        batch: sequences, by their places in `lengths`.
        lengths: tokens of each sequence.
        run: may be called again with half of what it could not do.
        advice: what to do where one alone does not fit.

    Returns:
        How many times a batch was halved.

    Raises:
        WorkerError: one alone does not fit. That is the machine's want and not the row's, so it
            is not kept as the row's status.
    """
    try:
        run(batch)
        return 0
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        if len(batch) == 1:
            raise WorkerError(
                f"a sequence of {lengths[batch[0]]} tokens does not fit into memory by itself; "
                f"{advice}"
            ) from error
    log.warning("out of memory with %d sequences: trying halves", len(batch))
    middle = len(batch) // 2
    halves = batch[:middle], batch[middle:]
    return 1 + sum(run_halving(half, lengths, run, advice) for half in halves)


@contextmanager
def no_room(advice: str) -> Iterator[None]:
    """Say what to set where memory runs out in the block.

    Raises:
        WorkerError: `advice`.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise WorkerError(advice) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return "can't allocate memory" in str(error)  # how the CPU allocator says it
