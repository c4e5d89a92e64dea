"""Magnitude pruning: weights of least absolute value become zero (Han et al. 2015).

Over a share, weights are compared over a whole layer, as the baseline of Wanda's paper and most
others do; with a pattern, within each group of neighbouring inputs of an output.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ...errors import ModelError
from .blocks import linear_layers, rows_of
from .masks import smallest_of_groups, smallest_of_layer
from .settings import Pruning


@torch.no_grad()
def prune_magnitude(blocks: Iterable[nn.Module], how: Pruning) -> None:
    """Set weights of the linear layers of some blocks to zero, in place.

    Args:
        blocks: decoder blocks.
        how: with a share or a pattern.

    Raises:
        ModelError: a layer that the pattern does not fit.
    """
    for number, block in enumerate(blocks):
        for name, layer in linear_layers(block).items():
            weight = rows_of(layer)
            scores = weight.abs().float()
            weight.masked_fill_(least(scores, how, f"{number}.{name}", smallest_of_layer), 0)


def least(
    scores: Tensor, how: Pruning, layer: str, of_share: Callable[[Tensor, float], Tensor]
) -> Tensor:
    """Return True for the weights of a layer that become zero, (outputs, inputs).

    Args:
        scores: of its weights.
        how: with a share or a pattern.
        layer: its name, for messages.
        of_share: among which weights a share is compared.

    Raises:
        ModelError: its inputs are no multiple of a pattern's M.
    """
    if how.pattern is None:
        assert how.share is not None
        return of_share(scores, how.share)
    kept, group = Pruning.kept_of(how.pattern)
    if scores.shape[1] % group:
        raise ModelError(
            f"layer {layer} has {scores.shape[1]} inputs, which pattern {how.pattern} leaves over"
        )
    return smallest_of_groups(scores, kept, group)
