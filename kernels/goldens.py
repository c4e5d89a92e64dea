"""Numbers of every kernel that were worked by hand or published, to be found again on any machine.

Each is a small function of the device and the backend; `expected` is what it must give.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt

import torch
from torch import Tensor

from .adam import adam_direction
from .backend import Backend
from .divergence import jensen_shannon
from .logits import LMHead
from .noise import uniform
from .pooling import pool
from .projection import project
from .token_loss import token_loss
from .token_stats import token_stats


@dataclass(frozen=True)
class KernelGolden:
    """What a kernel must give.

    Attributes:
        kernel: its file.
        source: where the numbers come from.
        run: gives them, on a device by a backend.
        expected: in order.
        tolerance: of each.
    """

    kernel: str
    source: str
    run: Callable[[str, Backend], Tensor]
    expected: tuple[float, ...]
    tolerance: float = 2e-6

    def off(self, device: str, backend: Backend) -> float:
        """Return the largest distance of a number from what it must be; infinite where some lack.

        Args:
            device: as torch names it.
            backend: torch or triton.
        """
        found = self.run(device, backend).detach().flatten().double().cpu()
        expected = torch.tensor(self.expected, dtype=torch.float64)
        if found.shape != expected.shape:
            return float("inf")
        return float((found - expected).abs().max())


def head_of(probabilities: list[float], device: str) -> LMHead:
    """Return a head that gives these probabilities to the hidden state (1)."""
    weight = torch.tensor(probabilities, dtype=torch.float64).log().float()[:, None]
    return LMHead(weight.to(device))


HALF = [0.5, 0.25, 0.25]


def _token_stats(device: str, backend: Backend) -> Tensor:
    hidden, targets = torch.ones(2, 1, device=device), torch.tensor([0, 1], device=device)
    names = ("loss", "entropy", "rank", "max_prob", "sum_p2")
    found = token_stats(hidden, head_of(HALF, device), targets, names, backend)
    return torch.stack([found[name].float() for name in names], 1)


def _token_loss(device: str, backend: Backend) -> Tensor:
    hidden = torch.ones(1, 1, device=device, requires_grad=True)
    loss = token_loss(hidden, head_of(HALF, device), torch.tensor([0], device=device))
    (slope,) = torch.autograd.grad(loss.sum(), hidden)
    return torch.cat([loss.detach(), slope.flatten()])


def _divergence(device: str, backend: Backend) -> Tensor:
    one = torch.ones(1, 1, device=device)
    p, q = head_of([0.5, 0.3, 0.2], device), head_of([0.2, 0.3, 0.5], device)
    return jensen_shannon(one, p, one, q, backend=backend)


def _pooling(device: str, backend: Backend) -> Tensor:
    states = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]], device=device)
    return pool(states, torch.tensor([3], device=device), "weighted_mean")


def _noise(device: str, backend: Backend) -> Tensor:
    zero = torch.zeros(1, dtype=torch.int64, device=device)
    return uniform(zero, zero, zero, 1, 4, backend)


def _projection(device: str, backend: Backend) -> Tensor:
    """Row 0 of the signs: those of a one at the first of two numbers."""
    one = torch.tensor([[1.0, 0.0]], device=device)
    return project(one, 0, 32, backend=backend) * sqrt(32)


def _adam(device: str, backend: Backend) -> Tensor:
    found = torch.tensor([[3e-4, 1e-4, -2e-5]], device=device)
    m, v = torch.tensor([1e-4, -2e-4, 0.0]), torch.tensor([1e-8, 4e-8, 1e-10])
    adam_direction(found, m.to(device), v.to(device), "adam")
    return found


WORDS = (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
SIGNS = 0x47D63BF0

GOLDENS = (
    KernelGolden(
        "token_stats",
        "probabilities 1/2, 1/4, 1/4 by hand; targets of 1/2 and 1/4",
        _token_stats,
        (log(2), 1.5 * log(2), 0, 0.5, 0.375, log(4), 1.5 * log(2), 1, 0.5, 0.375),
    ),
    KernelGolden(
        "token_loss",
        "the same; its slope is the mean of the weights less that of the target",
        _token_loss,
        (log(2), -0.5 * log(2)),
    ),
    KernelGolden(
        "divergence",
        "He et al. 2025, arXiv 2502.12594: (.5, .3, .2) and (.2, .3, .5), in nats",
        _divergence,
        (0.0664143,),
    ),
    KernelGolden(
        "pooling",
        "Ivison et al. 2025, arXiv 2503.01807: weights 1/6, 2/6, 3/6",
        _pooling,
        (0.624695, 0.780869),
    ),
    KernelGolden(
        "noise",
        "Random123's known answer of philox4x32-10 for counter 0 and key 0 (Salmon et al. 2011)",
        _noise,
        tuple((word >> 8) / 2**23 - 1 for word in WORDS),
        0.0,
    ),
    KernelGolden(
        "projection",
        "this project: the first word of signs of seed 0, as its documented hash gives them",
        _projection,
        tuple(-1.0 if SIGNS >> (31 - j) & 1 else 1.0 for j in range(32)),
    ),
    KernelGolden(
        "adam",
        "Xia et al. 2024, arXiv 2402.04333, as its published code: epsilon under the root",
        _adam,
        (0.846836, -0.760491, -0.019900),
    ),
)

WITHOUT = {
    "backend": "chooses, and computes nothing",
    "logits": "products that token_stats, token_loss and divergence are made of",
    "tiles": "sizes of tiles",
    "tuning": "measures tiles",
    "divergence_heavy": "sums of the words that divergence finds heavy",
}
"""Files without numbers of their own, and why; those of Triton are reached through the backend."""
