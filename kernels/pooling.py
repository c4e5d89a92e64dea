"""One vector per sequence from its hidden states, with padding masked.

`weighted_mean` is the position-weighted mean of RDS+ (Ivison et al. 2025, "Large-Scale Data
Selection for Instruction Tuning"): weight i for the i-th token, divided by the sum of weights.
"""

import torch
from torch import Tensor

POOLINGS = ("mean", "weighted_mean", "last")


def pool(hidden: Tensor, lengths: Tensor, pooling: str) -> Tensor:
    """Return the unit-norm pooled vector of each sequence, (batch, dim) fp32.

    Args:
        hidden: (batch, positions, dim); position i of a sequence is real if i < its length.
        lengths: (batch,) int64, at least 1.
        pooling: one of `POOLINGS`.

    Raises:
        ValueError: an unknown pooling, or a length that does not fit `hidden`.
    """
    if pooling not in POOLINGS:
        raise ValueError(f"unknown pooling {pooling!r}; allowed: {', '.join(POOLINGS)}")
    batch, positions, _ = hidden.shape
    if lengths.shape != (batch,) or not bool(((lengths > 0) & (lengths <= positions)).all()):
        raise ValueError(f"lengths must be ({batch},) in [1, {positions}]; got {lengths.tolist()}")
    place = torch.arange(1, positions + 1, device=hidden.device)
    real = place <= lengths[:, None]
    if pooling == "mean":
        weights = real.float()
    elif pooling == "weighted_mean":
        weights = real * place.float()
    else:
        weights = (place == lengths[:, None]).float()
    weights = weights / weights.sum(1, keepdim=True)
    # Padding is zeroed before the product: a NaN there times a weight of 0 would still be NaN.
    masked = torch.where(real[:, :, None], hidden.float(), 0.0)
    vectors = torch.bmm(weights[:, None, :], masked).squeeze(1)
    return torch.nn.functional.normalize(vectors, dim=1)
