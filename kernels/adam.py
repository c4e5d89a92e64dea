"""The direction that Adam would step in for one more gradient, given the moments it has reached.

LESS (arXiv 2402.04333) follows a training row not along its gradient but along the step of Adam,
``Gamma = m' / sqrt(v')`` with ``m' = 0.9 m + 0.1 g`` and ``v' = 0.999 v + 0.001 g^2`` by element.
Where the constant 1e-8 stands is read in three ways, and matters wherever v is below it:

    adam            m' / sqrt(v' + 1e-8)                    the published code: no bias correction
    adam_outside    m' / (sqrt(v') + 1e-8)
    adam_corrected  m^ / (sqrt(v^) + 1e-8), m^ = m' / (1 - 0.9^t), v^ = v' / (1 - 0.999^t)
                    what torch's AdamW does in step t

``Gamma`` is not linear in `g`: rows must be taken one by one, and before any projection.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

Adam = Literal["adam", "adam_outside", "adam_corrected"]

BETAS = 0.9, 0.999
EPSILON = 1e-8


@torch.no_grad()
def adam_direction(grads: Tensor, m: Tensor, v: Tensor, mode: Adam = "adam", step: int = 0) -> None:
    """Turn gradients into Adam's directions, in place.

    Args:
        grads: (rows, width) fp32, a gradient each.
        m: (width,) fp32, the first moment.
        v: (width,) fp32, the second moment, at least 0.
        mode: which reading.
        step: steps taken so far, for `adam_corrected`, at least 0; this one is the next.

    Raises:
        ValueError: shapes, a mode or a step that do not fit; the message holds them.
    """
    if mode not in get_args(Adam):
        raise ValueError(f"mode must be one of {', '.join(get_args(Adam))}; got {mode!r}")
    if grads.ndim != 2 or not m.shape == v.shape == grads.shape[1:]:
        raise ValueError(
            f"moments must be ({grads.shape[-1]},) each; got {tuple(m.shape)} and {tuple(v.shape)}"
        )
    if step < 0:
        raise ValueError(f"step must be at least 0; got {step}")
    divisor = grads.square().mul_(1 - BETAS[1]).add_(v, alpha=BETAS[1])
    grads.mul_(1 - BETAS[0]).add_(m, alpha=BETAS[0])
    if mode == "adam":
        divisor.add_(EPSILON).sqrt_()
    elif mode == "adam_outside":
        divisor.sqrt_().add_(EPSILON)
    else:
        divisor.div_(1 - BETAS[1] ** (step + 1)).sqrt_().add_(EPSILON)
        grads.div_(1 - BETAS[0] ** (step + 1))
    grads.div_(divisor)
