"""One tile of logits in torch: how hidden states become logits, and in which precision.

    exact   fp32 results of products that are exact in fp32, whatever the dtype of the inputs, and
            whatever torch was told about the precision of fp32 products.
    fast    on a CPU the product of bf16 with bf16 is made in bf16, which rounds each logit to 8
            bits; in Triton the product of fp32 takes TF32 instead of three times TF32, which
            rounds each factor to 11. Else the same as exact.

For bf16 inputs on a CPU the exact product may use bf16 hardware too, with fp32 accumulation *and
fp32 results*: both operands hold bf16 values, so nothing is rounded on the way in or out.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from torch import Tensor
from torch.nn import functional

Precision = Literal["exact", "fast"]

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TILE_ROWS = 512
TILE_VOCAB = 2048
UPCAST_BYTES = 8 << 20  # of one fp32 copy of a tile of W, when W is stored in half precision
LEAST_ROWS = 32  # of a product: with fewer, libraries sum in another order than in larger tiles
MASKED = -1e30  # a logit of probability 0; finite: -inf would give inf - inf


@dataclass(frozen=True)
class LMHead:
    """How hidden states become logits: ``softcap(scale * (H W' + bias)) / temperature``.

    Attributes:
        weight: (rows, dim), fp32, bf16 or fp16; a row for each word of the vocabulary.
        bias: (rows,) or None; a word with -inf is never said.
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

    def checked(self) -> Self:
        """Return the head of the real words alone, with a finite bias.

        Raises:
            ValueError: a part that does not fit; the message says which, and how.
        """
        rows = self.weight.shape[:1]
        if self.weight.ndim != 2 or not len(self.weight):
            raise ValueError(f"weight must be (vocab, dim); got {tuple(self.weight.shape)}")
        if self.bias is not None and self.bias.shape != rows:
            raise ValueError(f"bias must be ({rows[0]},); got {tuple(self.bias.shape)}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be positive; got {self.temperature}")
        if self.softcap == 0:
            raise ValueError("softcap must not be 0; None is for none")
        if self.vocab is not None and not 1 <= self.vocab <= rows[0]:
            raise ValueError(f"vocab must lie in [1, {rows[0]}]; got {self.vocab}")
        head = self if self.vocab is None else self.words(0, self.vocab)
        if head.bias is None:
            return head
        return replace(head, bias=head.bias.float().clamp(min=MASKED))


def tile_columns(head: LMHead) -> int:
    """Words of a tile; fewer where an fp32 copy of a half-precision weight would be large."""
    if head.weight.dtype == torch.float32:
        return TILE_VOCAB
    return min(TILE_VOCAB, max(256, UPCAST_BYTES // (4 * max(1, head.weight.shape[1]))))


def row_blocks(hidden: Tensor) -> list[tuple[slice, Tensor]]:
    """Hidden states by blocks of tokens, the last with rows of zeros up to `LEAST_ROWS`."""
    blocks = []
    for first in range(0, len(hidden), TILE_ROWS):
        block = hidden[first : first + TILE_ROWS]
        missing = LEAST_ROWS - len(block)
        rows = slice(first, first + len(block))
        blocks.append((rows, functional.pad(block, (0, 0, 0, missing)) if missing > 0 else block))
    return blocks


def multiplied(weight: Tensor, hidden: Tensor, precision: Precision) -> Tensor:
    """Return a tile of the weight in the dtype that it is multiplied in."""
    both = weight.dtype == hidden.dtype == torch.bfloat16
    return weight if precision == "fast" and both and not weight.is_cuda else weight.float()


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
    """Let fp32 products be exact; on a CPU, of fp32 copies of bf16 values, by the faster way.

    Fp32 copies of bf16 values may be rounded to bf16 again without loss. The switch is global to
    the process, hence set only around these products.
    """
    lossless = hidden.dtype == head.weight.dtype == torch.bfloat16 and not hidden.is_cuda
    library = torch.backends.cuda if hidden.is_cuda else torch.backends.mkldnn
    matmul = library.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16" if lossless else "ieee"
    try:
        yield
    finally:
        matmul.fp32_precision = before
