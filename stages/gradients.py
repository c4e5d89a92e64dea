"""Gradients of each row by itself with respect to LoRA adapters, many rows in one pass.

The loss of a row is the mean over its scored tokens. An adapter computes ``a = A x`` and
``b = B a`` for every token, so with the gradients at these outputs

    dL/dA = sum over tokens of outer(dL/da, x)        dL/dB = sum over tokens of outer(dL/db, a)

and the sum over the tokens of one row is the gradient of that row alone: hooks take x, a and the
gradients at a and b from one forward and one backward of a padded batch. Rows do not mix anywhere
else, and no gradient of a weight is made beside these. The loss reaches the hidden states by
`kernels.token_loss`, so no logits are held. A sink takes each block as the backward comes by it.

In fp32 a gradient differs from that of a backward of its own by less than 1e-4 of its norm
(measured: 1.1e-6), whatever the batch. Dropout is off.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..kernels.token_loss import token_loss
from .adapters import Lora
from .halving import run_halving
from .models import LM
from .packing import pack, pad
from .passes import Tokens
from .sinks import Sink

ADVICE = "set max_tokens or memory_mb lower, or run with fewer workers"


@dataclass
class GradientPass:
    """A pass to run.

    Attributes:
        lm: the model, with adapters on it.
        lora: those adapters.
        sequences: token ids of each sequence.
        positions: scored tokens of each, at least one: a token is predicted from the one before it.
        sinks: take the gradients.
        batch_tokens: padded tokens of a batch.
        tokens, padded, splits: what it used, as `passes.PassResult`.
    """

    lm: LM
    lora: Lora
    sequences: Sequence[Sequence[int] | np.ndarray]
    positions: Sequence[np.ndarray]
    sinks: Sequence[Sink]
    batch_tokens: int = 8192
    tokens: int = 0
    padded: int = 0
    splits: int = 0
    _group: Tokens = field(init=False)

    def run(self) -> np.ndarray:
        """Run all sequences; return for each `ok` or `not_finite`, (sequences,) of objects.

        Raises:
            ModelError: a layer with an adapter runs twice in one pass, or not at all.
            WorkerError: one sequence alone does not fit into memory.
        """
        self._group = Tokens.of(self.positions)
        status = np.full(len(self.sequences), "ok", dtype=object)
        lengths = [len(ids) for ids in self.sequences]

        def run(batch: Sequence[int]) -> None:
            for sink in self.sinks:
                sink.begin(batch)
            status[np.array(batch)[~self._run_batch(batch)]] = "not_finite"
            for sink in self.sinks:
                sink.end()

        for batch in pack(lengths, self.batch_tokens):
            self.splits += run_halving(batch, lengths, run, ADVICE)
        return status

    def _run_batch(self, batch: Sequence[int]) -> np.ndarray:
        """Give the gradients of a batch to the sinks; return which rows' losses are finite."""
        ids = pad([self.sequences[i] for i in batch])
        lengths = torch.tensor([len(self.sequences[i]) for i in batch])
        places, rows = self._group.at(batch)
        positions = self._group.positions[places]
        counts = np.bincount(rows, minlength=len(batch))
        share = torch.from_numpy((1 / counts[rows]).astype(np.float32)).to(self.lm.device)
        with torch.enable_grad(), self._taps(lengths, ids.shape[1]) as seen:
            hidden = self.lm.hidden(torch.from_numpy(ids).to(self.lm.device))
            states = hidden[torch.from_numpy(rows), torch.from_numpy(positions - 1)]
            targets = torch.from_numpy(ids[rows, positions]).to(self.lm.device)
            losses = token_loss(states, self.lm.head, targets)
            (losses * share).sum().backward()  # type: ignore[no-untyped-call]
        if len(seen) < len(self.lora.modules):
            raise ModelError(
                f"{type(self.lm.backbone).__name__}: {len(self.lora.modules) - len(seen)} of "
                f"{len(self.lora.modules)} adapter matrices took no part in the loss"
            )
        self.tokens += int(lengths.sum())
        self.padded += ids.size
        bad = ~torch.isfinite(losses.detach()).cpu().numpy()
        finite: np.ndarray = np.bincount(rows[bad], minlength=len(batch)) == 0
        return finite

    @contextmanager
    def _taps(self, lengths: Tensor, width: int) -> Iterator[set[int]]:
        """Hook every adapter for one batch; give the numbers of the parameters that came by."""
        inside = None
        if int(lengths.min()) < width:  # what stands in the padding is nobody's
            inside = (torch.arange(width) < lengths[:, None]).to(self.lm.device)[..., None]
        seen: set[int] = set()
        weights = list(self.lora.parameters.values())
        wanted = [weight.requires_grad for weight in weights]
        handles = [
            module.register_forward_hook(_Tap(place, len(lengths), inside, seen, self.sinks))
            for place, module in enumerate(self.lora.modules)
        ]
        for weight in weights:
            weight.requires_grad_(False)  # its gradient over the whole batch is not wanted
        try:
            yield seen
        finally:
            for handle in handles:
                handle.remove()
            for weight, before in zip(weights, wanted, strict=True):
                weight.requires_grad_(before)


@dataclass(frozen=True)
class _Tap:
    """A hook on the A or the B of an adapter: what went in, and the gradient at what came out."""

    place: int
    n_rows: int
    inside: Tensor | None
    seen: set[int]
    sinks: Sequence[Sink]

    def __call__(self, module: nn.Module, given: tuple[Any, ...], out: Tensor) -> Tensor:
        """Keep the input until the gradient comes."""
        if not out.requires_grad:  # the first layers: nothing before them is differentiated
            out = out.detach().requires_grad_()
        inputs = given[0].detach()
        hook = partial(self._deliver, inputs=inputs)
        out.register_hook(hook)  # type: ignore[no-untyped-call]
        return out

    def _deliver(self, gradient: Tensor, inputs: Tensor) -> None:
        if self.place in self.seen:
            raise ModelError("a layer with an adapter runs twice in one pass; name others")
        self.seen.add(self.place)
        outputs, inputs = (
            some.float().reshape(self.n_rows, -1, some.shape[-1]) for some in (gradient, inputs)
        )
        if self.inside is not None:
            outputs, inputs = (some.where(self.inside, 0) for some in (outputs, inputs))
        for sink in self.sinks:
            sink.add(self.place, outputs, inputs)
