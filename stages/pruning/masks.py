"""Which weights have the smallest scores: in a layer, in each row, or in each group of a row.

Of equal scores the one that comes first is pruned, so the number of pruned weights is exact.
"""

import torch
from torch import Tensor

from ..selectors.base import share_of


def smallest_of_layer(scores: Tensor, share: float) -> Tensor:
    """Return True for the smallest scores of a whole layer.

    Args:
        scores: (outputs, inputs).
        share: of all of them, rounded down to whole weights.
    """
    flat = scores.reshape(-1)
    n = share_of(len(flat), share)
    if not n:
        return torch.zeros_like(scores, dtype=torch.bool)
    last = flat.kthvalue(n).values  # a whole order would take 8 bytes and more per weight
    found, equal = flat < last, flat == last
    more = n - found.sum()
    found |= equal & (equal.cumsum(0, dtype=torch.int32) <= more)
    return found.reshape(scores.shape)


def smallest_of_rows(scores: Tensor, share: float) -> Tensor:
    """Return True for the smallest scores of each row.

    Args:
        scores: (outputs, inputs).
        share: of the inputs, rounded down to whole weights.
    """
    n = share_of(scores.shape[1], share)
    return _marked(scores, scores.argsort(dim=1, stable=True)[:, :n])


def smallest_of_groups(scores: Tensor, kept: int, group: int) -> Tensor:
    """Return True for all but the `kept` largest scores of every `group` neighbours in a row.

    Args:
        scores: (outputs, inputs).
        kept: scores to leave in each group.
        group: neighbours; must divide the inputs.
    """
    parts = scores.reshape(-1, group)
    found = _marked(parts, parts.argsort(dim=1, stable=True)[:, : group - kept])
    return found.reshape(scores.shape)


def _marked(scores: Tensor, places: Tensor) -> Tensor:
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, places, value=True)
