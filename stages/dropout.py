"""Dropout on the input of adapters whose mask belongs to the row, not to its batch.

What a mask drops is a pure function of the row's key in a step, the layer, the position and the
feature (`kernels.noise`). So the adapters do not depend on how the rows of a step are packed into
passes, nor on which worker takes which of them, but for rounding.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..kernels.backend import Backend
from ..kernels.noise import uniform


class RowDropout(nn.Module):
    """Sets inputs to zero at random, and the others to 1 / (1 - p) of themselves, in training."""

    def __init__(self, p: float, layer: int, backend: Backend) -> None:
        """Make a mask of its own for every layer.

        Args:
            p: share of the inputs that is dropped, in [0, 1).
            layer: its number.
            backend: of `kernels.noise`.
        """
        super().__init__()
        self.p, self.layer, self.backend = p, layer, backend
        self.keys: Tensor | None = None
        self.length = 0

    def forward(self, inputs: Tensor) -> Tensor:
        """Drop.

        Args:
            inputs: (rows, positions, features), or with rows and positions in one.

        Raises:
            ModelError: the layer does not see every position of every row.
        """
        if not self.training:
            return inputs
        if self.keys is None or inputs.numel() != len(self.keys) * self.length * inputs.shape[-1]:
            raise ModelError(
                f"a layer with an adapter sees {tuple(inputs.shape)} inputs, not every position of "
                f"every row, so dropout cannot be drawn for it; set warmup.dropout: 0"
            )
        layer = torch.full_like(self.keys, self.layer)
        drawn = uniform(
            *(self.keys, layer, torch.zeros_like(layer)),
            *(self.length, inputs.shape[-1]),
            self.backend,
        )
        mask = (drawn >= 2 * self.p - 1).to(inputs.dtype).mul_(1 / (1 - self.p))
        return inputs * mask.view(inputs.shape)


def dropouts(backbone: nn.Module, name: str, backend: Backend) -> list[RowDropout]:
    """Give the adapters of a model dropout by row in place of peft's; return their modules.

    Args:
        backbone: with adapters on it.
        name: of the adapters.
        backend: of `kernels.noise`.
    """
    from peft.tuners.lora import LoraLayer  # heavy

    found: list[RowDropout] = []
    for layer in backbone.modules():
        if isinstance(layer, LoraLayer) and isinstance(layer.lora_dropout[name], nn.Dropout):
            own = RowDropout(layer.lora_dropout[name].p, len(found), backend)
            layer.lora_dropout[name] = own.eval()
            found.append(own)
    return found


def draw(modules: Sequence[RowDropout], keys: Tensor, length: int) -> None:
    """Say which rows the next pass is about.

    Args:
        modules: of all adapters.
        keys: (rows,) int64, of each row in this step.
        length: positions of a row, with padding.
    """
    for module in modules:
        module.keys, module.length = keys, length
