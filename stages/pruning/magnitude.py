"""Magnitude pruning: weights of least absolute value become zero (Han et al. 2015).

Over a share, weights are compared over a whole layer, as the baseline of Wanda's paper and most
others do; with a pattern, within each group of neighbouring inputs of an output.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ...errors import ModelError
from .blocks import linear_layers, rows_of
from .masks import smallest_of_groups, smallest_of_layer
from .settings import Pruning

Blocks = nn.ModuleList | Sequence[nn.Module]


@torch.no_grad()
def prune_magnitude(blocks: Blocks, how: Pruning) -> None:
    """Set weights of the linear layers of some blocks to zero, in place.

    Args:
        blocks: decoder blocks.
        how: with a share or a pattern.

    Raises:
        ModelError: a layer that the pattern does not fit.
    """
    check_pattern(blocks, how)
    for block in blocks:
        for layer in linear_layers(block).values():
            weight = rows_of(layer)
            weight.masked_fill_(least(weight.abs().float(), how, smallest_of_layer), 0)


def check_pattern(blocks: Blocks, how: Pruning) -> None:
    """Check that the inputs of all layers fall into groups of a pattern's M.

    Raises:
        ModelError: those of a layer do not.
    """
    if how.pattern is None:
        return
    _, group = Pruning.kept_of(how.pattern)
    inputs = {
        f"{number}.{name}": rows_of(layer).shape[1]
        for number, block in enumerate(blocks)
        for name, layer in linear_layers(block).items()
    }
    for name, n in inputs.items():
        if n % group:
            raise ModelError(
                f"layer {name} has {n} inputs, no multiple of {group} as pattern {how.pattern} "
                f"needs; in this model M of N:M must divide {math.gcd(*inputs.values())}"
            )


def least(scores: Tensor, how: Pruning, of_share: Callable[[Tensor, float], Tensor]) -> Tensor:
    """Return True for the weights of a layer that become zero, (outputs, inputs).

    Args:
        scores: of its weights.
        how: with a share, or a pattern that fits.
        of_share: among which weights a share is compared.
    """
    if how.pattern is None:
        assert how.share is not None
        return of_share(scores, how.share)
    return smallest_of_groups(scores, *Pruning.kept_of(how.pattern))
