"""Where per-row gradients go as a backward pass comes by them: straight into their projection.

Nothing as long as the model's parameters is kept beyond a bound. `Dense` holds gradients of as many
rows as half of `memory` allows, and projects them together: a matrix of signs is made once for
all of them. Where not even the rows of one batch fit, each parameter is projected as it comes, at
its own coordinates of the same matrix, and the results add up. Blocks are taken in slices of rows,
at most a quarter of `memory` each, of which Adam's direction needs two; so `memory` bounds it all,
beside the projected rows and one row of the largest parameter.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..kernels.backend import Backend
from ..kernels.projection import project, project_kronecker
from .halving import no_room

Turn = Callable[[int, Tensor], None]
"""Turns gradients (rows, numbers of the parameter) of the parameter `place` in place."""

MAX_ROWS = 1024  # beyond it a projection makes its signs again


class Sink(Protocol):
    """Takes per-row gradients, batch by batch and parameter by parameter."""

    def begin(self, rows: Sequence[int]) -> None:
        """A batch of these rows begins; what the batch before left unfinished is forgotten."""
        ...

    def add(self, place: int, outputs: Tensor, inputs: Tensor) -> None:
        """Take a parameter: the gradient of row i is ``outputs[i]' inputs[i]``.

        Args:
            place: number of the parameter.
            outputs: (rows, positions, d_out) fp32 gradients at the output; zero in the padding.
            inputs: (rows, positions, d_in) fp32.
        """
        ...

    def end(self) -> None:
        """The batch is whole."""
        ...

    def result(self) -> Tensor:
        """Return what was found for every row, (rows, dim) fp32."""
        ...


class Dense:
    """The dense projection of `kernels.projection`, of gradients or of a direction made of them."""

    def __init__(
        self,
        n_rows: int,
        sizes: Sequence[int],
        *,
        dim: int | None,
        seed: int = 0,
        turn: Turn | None = None,
        memory: int = 1 << 30,
        device: str = "cpu",
        backend: Backend = "torch",
    ) -> None:
        """Make room.

        Args:
            n_rows: of the whole pass.
            sizes: numbers in each parameter, whose coordinates follow each other.
            dim: of the result; None keeps the gradients themselves (tests, benchmarks).
            seed: names the projection.
            turn: applied to every block before the projection.
            memory: bytes, see above.
            device: of the result.
            backend: of the projection.
        """
        self.firsts = [sum(sizes[:i]) for i in range(len(sizes))]
        self.total, self.dim, self.seed = sum(sizes), dim, seed
        self.turn, self.memory, self.backend = turn, memory, backend
        self.out = torch.zeros(n_rows, dim or self.total, device=device)
        fitting = memory // 2 // (4 * self.total)
        self.capacity = min(fitting, MAX_ROWS, n_rows) if dim else 0
        self.held: list[int] = []
        self.rows: list[int] = []
        self.buffer = torch.empty(0, device=device)

    def begin(self, rows: Sequence[int]) -> None:
        """Make room for a batch."""
        if len(self.held) + len(rows) > self.capacity:
            self._flush()
        self.rows = list(rows)
        if len(rows) > self.capacity:
            self.out[self.rows] = 0
            return
        if not len(self.buffer):
            self.buffer = torch.empty(self.capacity, self.total, device=self.out.device)

    def add(self, place: int, outputs: Tensor, inputs: Tensor) -> None:
        """Form the block slice by slice; keep or project it."""
        first, size = self.firsts[place], outputs.shape[2] * inputs.shape[2]
        step = max(1, self.memory // 4 // (4 * size))
        for low in range(0, len(outputs), step):
            part = slice(low, low + step)
            grads = torch.bmm(outputs[part].transpose(1, 2), inputs[part]).flatten(1)
            if self.turn is not None:
                self.turn(place, grads)
            if len(self.rows) <= self.capacity:
                top = len(self.held) + low
                self.buffer[top : top + len(grads), first : first + size] = grads
            elif self.dim is None:
                self.out[self.rows[part], first : first + size] = grads
            else:
                found = project(grads, self.seed, self.dim, first=first, backend=self.backend)
                self.out[self.rows[part]] += found

    def end(self) -> None:
        """Hold the rows of the batch until there are enough to be projected together."""
        if len(self.rows) <= self.capacity:
            self.held += self.rows
        self.rows = []

    def result(self) -> Tensor:
        """Return the projections, (rows, dim) fp32."""
        self._flush()
        self.buffer = self.buffer[:0].clone()
        return self.out

    def _flush(self) -> None:
        if self.held and self.dim:
            gradients = self.buffer[: len(self.held)]
            advice = (
                f"the projection of {len(self.held)} gradients does not fit into memory; set "
                f"memory_mb (now {self.memory >> 20} for each column) lower"
            )
            with no_room(advice):
                found = project(gradients, self.seed, self.dim, backend=self.backend)
            self.out[self.held] = found
        self.held = []


class Kronecker:
    """The factored projection of plain gradients, which are never written out."""

    def __init__(
        self, n_rows: int, *, dim: int, seed: int = 0, device: str = "cpu", backend: Backend
    ) -> None:
        """Make room; see `Dense`. The factors are those of `factors`."""
        self.k, self.seed, self.backend = factors(dim), seed, backend
        self.out = torch.zeros(n_rows, dim, device=device)
        self.rows: list[int] = []

    def begin(self, rows: Sequence[int]) -> None:
        """Begin a batch."""
        self.rows = list(rows)
        self.out[self.rows] = 0

    def add(self, place: int, outputs: Tensor, inputs: Tensor) -> None:
        """Project both factors; every parameter has signs of its own."""
        n, width = outputs.shape[:2]
        owner = torch.arange(n, device=outputs.device).repeat_interleave(width)
        self.out[self.rows] += project_kronecker(
            outputs.flatten(0, 1),
            inputs.flatten(0, 1),
            owner,
            n,
            self.seed,
            self.k,
            layer=place,
            backend=self.backend,
        )

    def end(self) -> None:
        """Nothing is held."""

    def result(self) -> Tensor:
        """Return the projections, (rows, dim) fp32."""
        return self.out


def factors(dim: int) -> tuple[int, int]:
    """Return the dimensions that a factored projection gives to output and input.

    The nearest to each other there are: 8,192 is 64 x 128.
    """
    low = next(k for k in range(math.isqrt(dim), 0, -1) if dim % k == 0)
    return low, dim // low
