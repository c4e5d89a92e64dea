"""Calibration rows in a model, one decoder block after the other.

Once, every row goes through the whole model, and what each block is called with is noted: masks,
positions and the like, which do not depend on the weights. From then on blocks are called by
themselves: a block sees what the blocks before it, pruned already, make of the rows.

Rows run one at a time, without padding, so no row's numbers depend on another's. Kept are the
hidden states of all rows, tokens x hidden size in the model's dtype.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...errors import ModelError

if TYPE_CHECKING:  # heavy
    from transformers import PreTrainedModel

Progress = Callable[[int, int], None]
"""Told of rows that went through a block, and of their tokens."""


@dataclass(frozen=True)
class _Call:
    """How a block was called, beside its hidden states."""

    args: tuple[Any, ...]
    given: dict[str, Any]


class Replay:
    """Hidden states of the calibration rows, before a block that moves on.

    Attributes:
        states: for each row (1, tokens, dim), what goes into the block `at`.
        at: number of the next block.
    """

    def __init__(
        self,
        lm: "PreTrainedModel",
        blocks: Sequence[nn.Module],
        sequences: Sequence[Sequence[int]],
        progress: Progress = lambda rows, tokens: None,
    ) -> None:
        """Note how every block is called for every row.

        Args:
            lm: the model.
            blocks: its decoder blocks, in order.
            sequences: token ids of each calibration row.
            progress: told of every row in every block.
        """
        self.lm, self.blocks, self.progress = lm, blocks, progress
        self.ids = [torch.tensor([ids], device=lm.device) for ids in sequences]
        self.states: list[Tensor] = []
        self.at = 0
        self._calls: list[list[_Call]] = []
        handles = [
            block.register_forward_pre_hook(partial(self._note, number), with_kwargs=True)
            for number, block in enumerate(blocks)
        ]
        try:
            for ids in self.ids:
                self._calls.append([])
                self._whole(ids)
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def input_norms(self, layers: dict[str, nn.Module]) -> dict[str, Tensor]:
        """Return for layers of the next block the length of each input over all tokens.

        Args:
            layers: by name.

        Returns:
            For each layer (inputs,) fp32: the root of the sum of squares over tokens and rows.

        Raises:
            ModelError: a layer that no token reaches, or inputs that are not finite.
        """
        squares: dict[str, Tensor] = {}

        def add(name: str, module: nn.Module, given: tuple[Tensor, ...]) -> None:
            found = given[0].reshape(-1, given[0].shape[-1]).float().square()
            total = found.sum(0, dtype=torch.float64)
            squares[name] = squares[name] + total if name in squares else total

        with _hooked(layers, add):
            for _ in self._outputs():
                pass
        for name in layers:
            if name not in squares:
                raise ModelError(f"layer {self.at}.{name} is reached by no token of the data")
            if not torch.isfinite(squares[name]).all():
                raise ModelError(f"layer {self.at}.{name} gets inputs that are not finite")
        return {name: total.sqrt().float() for name, total in squares.items()}

    @torch.no_grad()
    def advance(self) -> None:
        """Let the next block turn its inputs into those of the block after it."""
        self.states = list(self._outputs())
        self.at += 1

    @torch.no_grad()
    def check(self) -> None:
        """Compare what has come of the first row with the model in one piece.

        Raises:
            ModelError: they differ: a family whose blocks hand on more than hidden states.
        """
        ends: list[Tensor] = []

        def note(module: nn.Module, given: object, out: Any) -> None:  # noqa: ANN401
            ends.append(_first(out))

        handle = self.blocks[-1].register_forward_hook(note)
        try:
            self._whole(self.ids[0])
        finally:
            handle.remove()
        if not torch.allclose(ends[0].float(), self.states[0].float(), rtol=1e-3, atol=1e-3):
            raise ModelError(
                f"{type(self.lm).__name__}: its layers one after the other do not give what the "
                f"whole model does; this family cannot be pruned with calibration rows"
            )

    @torch.no_grad()
    def _whole(self, ids: Tensor) -> None:
        self.lm.base_model(input_ids=ids, use_cache=False)

    def _note(
        self, number: int, block: nn.Module, args: tuple[Any, ...], given: dict[str, Any]
    ) -> None:
        given = dict(given)
        states, rest = (args[0], args[1:]) if args else (given.pop("hidden_states"), ())
        if number == 0:
            self.states.append(states)
        self._calls[-1].append(_Call(rest, given))

    def _outputs(self) -> Iterator[Tensor]:
        block = self.blocks[self.at]
        for states, calls in zip(self.states, self._calls, strict=True):
            call = calls[self.at]
            yield _first(block(states, *call.args, **call.given))
            self.progress(1, states.shape[1])


def _first(out: Any) -> Tensor:  # noqa: ANN401 - a tensor or a tuple, by family
    found: Tensor = out if isinstance(out, Tensor) else out[0]
    return found


@contextmanager
def _hooked(
    layers: dict[str, nn.Module], hook: Callable[[str, nn.Module, tuple[Tensor, ...]], None]
) -> Iterator[None]:
    handles = [
        layer.register_forward_pre_hook(partial(hook, name)) for name, layer in layers.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
