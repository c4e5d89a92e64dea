"""One tile of logits in torch: how hidden states become logits, and in which precision.

    exact   fp32 results of products that are exact in fp32, whatever the dtype of the inputs.
    fast    the product is made in the dtype of the inputs where that is quicker: in bf16 on a CPU,
            which rounds each logit to 8 bits, and in TF32 instead of three times TF32 for fp32 in
            Triton, which rounds each factor to 11. Else the same as exact.

For bf16 inputs on a CPU the exact product runs in bf16 hardware too, with fp32 accumulation *and
fp32 results*: both operands hold bf16 values, so nothing is rounded on the way in or out.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from torch import Tensor

Precision = Literal["exact", "fast"]

UPCAST_BYTES = 8 << 20  # of one fp32 copy of a tile of W, when W is stored in half precision


@dataclass(frozen=True)
class LMHead:
    """How hidden states become logits: ``softcap(scale * (H W' + bias)) / temperature``.

    Attributes:
        weight: (rows, dim), fp32, bf16 or fp16; a row for each word of the vocabulary.
        bias: (rows,) or None; finite.
        scale: multiplies the product (Cohere's logit_scale, the inverse of Granite's scaling).
        softcap: logits become ``softcap * tanh(z / softcap)`` (Gemma 2); None for none.
        temperature: divides the logits.
        vocab: number of real words: later rows are padding, and take no part in the distribution.
            None keeps them all, as the models' own softmax does.
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None
    temperature: float = 1.0
    vocab: int | None = None

    def words(self, low: int, high: int) -> Self:
        """Return the head of the words [low, high) alone."""
        bias = None if self.bias is None else self.bias[low:high]
        return replace(self, weight=self.weight[low:high], bias=bias, vocab=None)

    def unpadded(self) -> Self:
        """Return the head of the real words alone.

        Raises:
            ValueError: there are not so many rows, or none is to be left.
        """
        if self.vocab is None:
            return self
        if not 1 <= self.vocab <= len(self.weight):
            raise ValueError(f"vocab must lie in [1, {len(self.weight)}]; got {self.vocab}")
        return self.words(0, self.vocab)


def multiplied(weight: Tensor, precision: Precision) -> Tensor:
    """Return a tile of the weight in the dtype that it is multiplied in."""
    rounds = precision == "fast" and weight.dtype == torch.bfloat16
    return weight if rounds else weight.float()


def logits_tile(
    hidden: Tensor, weight: Tensor, head: LMHead, columns: slice, buffer: Tensor
) -> Tensor:
    """One tile of logits (rows, columns) in fp32, written into `buffer`.

    Args:
        hidden: (rows, dim).
        weight: (columns, dim), as `multiplied` gives it.
        head: how products become logits.
        columns: of the vocabulary, for the bias.
        buffer: at least rows x columns fp32 elements.
    """
    out = buffer[: len(hidden) * len(weight)].view(len(hidden), len(weight))
    if weight.dtype == torch.float32:
        torch.mm(hidden.float(), weight.T, out=out)
    else:
        out.copy_(hidden.to(weight.dtype) @ weight.T)
    if head.bias is not None:
        out += head.bias[columns]
    return shape_logits(out, head)


def shape_logits(product: Tensor, head: LMHead) -> Tensor:
    """Scale, softcap and temperature, in place."""
    if head.scale != 1.0:
        product *= head.scale
    if head.softcap is not None:
        product.div_(head.softcap).tanh_().mul_(head.softcap)
    if head.temperature != 1.0:
        product /= head.temperature
    return product


@contextlib.contextmanager
def exact_products(hidden: Tensor, head: LMHead) -> Iterator[None]:
    """Let the CPU multiply fp32 copies of bf16 values in bf16 hardware: lossless and faster.

    The switch is global to the process, hence set only around these products.
    """
    lossless = hidden.dtype == head.weight.dtype == torch.bfloat16 and hidden.device.type == "cpu"
    if not lossless:
        yield
        return
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined] # made at import
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before
