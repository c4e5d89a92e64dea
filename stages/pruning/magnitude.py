"""Magnitude pruning: weights of least absolute value become zero (Han et al. 2015).

Over a share, weights are compared over a whole layer, as the baseline of Wanda's paper and most
others do; with a pattern, within each group of neighbouring inputs of an output.
"""

from collections.abc import Iterable

import torch
from torch import nn

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
            if how.pattern is not None:
                kept, group = fitting(how.pattern, scores.shape[1], f"{number}.{name}")
                mask = smallest_of_groups(scores, kept, group)
            else:
                assert how.share is not None
                mask = smallest_of_layer(scores, how.share)
            weight.masked_fill_(mask, 0)


def fitting(pattern: str, n_inputs: int, layer: str) -> tuple[int, int]:
    """Return N and M of a pattern that fits a layer.

    Raises:
        ModelError: its inputs are no multiple of M.
    """
    kept, group = Pruning.kept_of(pattern)
    if n_inputs % group:
        raise ModelError(
            f"layer {layer} has {n_inputs} inputs, which pattern {pattern} leaves over"
        )
    return kept, group
