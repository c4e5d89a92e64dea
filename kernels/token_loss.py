"""Loss per token that can be differentiated with respect to the hidden states, without the logits.

The forward is `token_stats`. The backward makes the logits again, tile by tile, and never keeps
them: with ``y = H W' + bias`` before and ``z`` after scale, softcap and temperature,

    dL/dy_v = g (p_v - [v = t]) dz_v/dy_v        dL/dH = sum_v dL/dy_v W_v

where ``p_v = exp(z_v - lse)``, and the target's ``p_t - 1`` is taken as ``expm1(-loss)``, which
keeps its relative accuracy when the loss is tiny. Sums over the vocabulary run in fp32, so the
result is that of autograd on fp32 logits to rounding. The LM head gets no gradient.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .logits import LMHead, exact_products, logits_tile, row_blocks, tile_columns
from .token_stats import token_stats


def token_loss(hidden: Tensor, head: LMHead, targets: Tensor) -> Tensor:
    """Return -log p(target) at each position, differentiable with respect to `hidden` alone.

    Args:
        hidden: (tokens, dim), fp32, bf16 or fp16.
        head: the LM head; its weight is (vocab, dim).
        targets: (tokens,) int64 in [0, vocab); none is ignored, leave those out before.

    Returns:
        (tokens,) fp32, nats. The gradient has the dtype of `hidden`; it is added up in fp32.

    Raises:
        ValueError: as `token_stats`.
    """
    found: Tensor = _TokenLoss.apply(hidden, head, targets)  # type: ignore[no-untyped-call]
    return found


class _TokenLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: LMHead, targets: Tensor) -> Tensor:  # noqa: ANN401
        head = head.checked()
        if bool((targets < 0).any()):
            raise ValueError(f"targets must lie in [0, {len(head.weight)}); got {targets.min()}")
        found = token_stats(hidden, head, targets, ("loss", "lse"))
        ctx.save_for_backward(hidden, targets, found["loss"], found["lse"])
        ctx.head = head
        return found["loss"]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        hidden, targets, loss, lse = ctx.saved_tensors
        total = _hidden_gradient(hidden, ctx.head, targets, (loss, lse, grads[0].float()))
        return total.to(hidden.dtype), None, None


def _hidden_gradient(
    hidden: Tensor, head: LMHead, targets: Tensor, known: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Return dL/dH, (tokens, dim) fp32, from loss, log-sum-exp and the gradient of each loss."""
    loss, lse, grad = known
    total = torch.zeros(hidden.shape, device=hidden.device)
    n_columns, blocks = min(tile_columns(head), len(head.weight)), row_blocks(hidden)
    largest = max((len(block) for _, block in blocks), default=0)
    buffer = torch.empty(largest * n_columns, device=hidden.device)
    for low in range(0, len(head.weight), n_columns):
        columns = slice(low, low + n_columns)
        weight = head.weight[columns].float()
        for rows, block in blocks:
            with exact_products(hidden, head):
                z = logits_tile(block, weight, head, columns, buffer)[: rows.stop - rows.start]
            slope = _slope(z, head)
            z.sub_(lse[rows, None]).exp_()
            local = targets[rows] - low
            here = ((local >= 0) & (local < len(weight))).nonzero().squeeze(1)
            z[here, local[here]] = torch.expm1(-loss[rows][here])
            z *= grad[rows, None]
            total[rows] += (z if slope is None else z.mul_(slope)) @ weight
    return total.mul_(head.scale / head.temperature)


def _slope(z: Tensor, head: LMHead) -> Tensor | None:
    """The derivative of the softcap at logits z, None where there is none: 1 - (z T / cap)^2."""
    if head.softcap is None:
        return None
    return 1 - (z * (head.temperature / head.softcap)).square_()
