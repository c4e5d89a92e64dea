"""The workers that train adapters together: who takes which rows of a step, and their sums.

Each holds the whole model and takes its share of the rows of every step. The gradients are summed
over all workers before they are clipped, so all take the same step from the same adapters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


def _alone(tensor: Tensor) -> None:
    """The sum over one worker."""


@dataclass(frozen=True)
class Crew:
    """The workers of a training, and the place of this one among them; by default it is alone.

    Attributes:
        rank: of this worker, from 0; the first writes what the training leaves.
        size: how many there are.
        total: sums a contiguous tensor over all workers, in place; all call it in the same order.
    """

    rank: int = 0
    size: int = 1
    total: Callable[[Tensor], object] = _alone

    def share(self, lengths: Sequence[int]) -> np.ndarray:
        """Return the places of this worker's rows of a step, ascending; maybe none.

        Rows are dealt in order of length, so that all workers get about as many tokens.

        Args:
            lengths: tokens of each row of the step.
        """
        return np.sort(np.argsort(lengths, kind="stable")[self.rank :: self.size])

    def add_up(self, parameters: Sequence[nn.Parameter], loss: float) -> float:
        """Sum the gradients over all workers, in place, and return the sum of the losses.

        Args:
            parameters: the same of every worker; one without a gradient (no rows) counts as zero.
            loss: of this worker's rows.
        """
        if self.size == 1:
            return loss
        for parameter in parameters:
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = gradient.contiguous()
            self.total(parameter.grad)
        summed = torch.tensor([loss], dtype=torch.float64, device=parameters[0].device)
        self.total(summed)
        return float(summed)


ALONE = Crew()


def crew_of_process_group() -> Crew:
    """Return the crew that torch.distributed has been set up for in this process."""
    import torch.distributed as dist  # not in every build of torch

    return Crew(dist.get_rank(), dist.get_world_size(), dist.all_reduce)
