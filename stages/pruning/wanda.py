"""Wanda: weights of least |W_ij| ||X_j||_2 become zero, without any training.

M. Sun et al., "A Simple and Effective Pruning Approach for Large Language Models" (arXiv
2306.11695), equation 1: the length of input j is taken over all tokens of calibration rows, and
weights are compared within each output, or within each group of its inputs. Block by block: what
reaches a block has gone through the pruned blocks before it.
"""

import torch

from .blocks import linear_layers, rows_of
from .magnitude import check_pattern, least
from .masks import smallest_of_rows
from .replay import Replay
from .settings import Pruning


@torch.no_grad()
def prune_wanda(replay: Replay, how: Pruning) -> None:
    """Set weights of the linear layers of all blocks to zero, in place.

    Args:
        replay: the calibration rows before the first block.
        how: with a share or a pattern.

    Raises:
        ModelError: a layer that the pattern does not fit or no token reaches, inputs that are not
            finite, or a family whose blocks cannot be called one by one.
    """
    check_pattern(replay.blocks, how)
    for block in replay.blocks:
        layers = linear_layers(block)
        norms = replay.input_norms(layers)
        for name, layer in layers.items():
            weight = rows_of(layer)
            scores = weight.abs().float() * norms[name]
            weight.masked_fill_(least(scores, how, smallest_of_rows), 0)
        replay.advance()
    replay.check()
