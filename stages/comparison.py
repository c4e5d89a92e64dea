"""One pass of two models over the same sequences: the divergence of their predictions per token.

Both models can be in memory, or one after the other: then the hidden states of the first are kept
in main memory, as the model gave them, until the second has run. Batches are the same, and so is
every bit of the result (but where a batch had to be halved for want of memory).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..kernels.backend import Backend
from ..kernels.divergence import jensen_shannon
from ..kernels.logits import LMHead
from .halving import run_halving
from .models import LM
from .packing import pack, pad
from .passes import PassResult, Tokens

JSD = "jsd"


@dataclass(frozen=True)
class Kept:
    """What is kept of a model that has run.

    Attributes:
        head: its LM head, where the model was.
        states: for each wanted group (tokens, dim), in main memory and the model's own dtype.
    """

    head: LMHead
    states: dict[str, Tensor]


@dataclass
class Comparison:
    """Two models to compare.

    Attributes:
        sequences: token ids of each sequence.
        groups: named groups of tokens; a state that is not finite in any of them is a status.
        wanted: the groups whose divergences are wanted; each is computed by itself.
        batch_tokens: padded tokens of a batch.
        device: cpu or cuda.
        kernel: torch or triton, which computes the divergence.
        result: what was found; `tokens` and `padded` count both models.
    """

    sequences: Sequence[Sequence[int] | np.ndarray]
    groups: Mapping[str, Tokens]
    wanted: Sequence[str]
    batch_tokens: int = 8192
    device: str = "cpu"
    kernel: Backend = "torch"
    result: PassResult = field(init=False)

    def __post_init__(self) -> None:
        sizes = {name: len(self.groups[name].positions) for name in self.wanted}
        stats = {name: {JSD: np.zeros(n, np.float32)} for name, n in sizes.items()}
        self.result = PassResult(stats, np.full(len(self.sequences), "ok", dtype=object))

    @torch.inference_mode()
    def keep(self, lm: LM) -> Kept:
        """Run one model alone; return what the other needs of it."""
        kept = Kept(lm.head, {})

        def run(batch: Sequence[int]) -> None:
            for name, states in self._states(lm, batch).items():
                if name not in kept.states:
                    shape = len(self.groups[name].positions), states.shape[1]
                    kept.states[name] = torch.empty(shape, dtype=states.dtype)
                places = torch.from_numpy(self.groups[name].at(batch)[0])
                kept.states[name][places] = states.cpu()
            self._count(batch)

        self._each_batch(run)
        return kept

    @torch.inference_mode()
    def run(self, p: LM | Kept, q: LM | Kept) -> PassResult:
        """Compare two models, of which either may have run before; return what was found.

        Its `stats` hold `jsd`, (tokens,) fp32 in nats, for each wanted group.
        """

        def run(batch: Sequence[int]) -> None:
            of_p, of_q = self._states(p, batch), self._states(q, batch)
            for name in self.wanted:
                places, rows = self.groups[name].at(batch)
                if not len(places):
                    continue
                values = jensen_shannon(of_p[name], p.head, of_q[name], q.head, backend=self.kernel)
                self.result.stats[name][JSD][places] = values.cpu().numpy()
                self._mark(batch, rows[torch.isnan(values).cpu().numpy()])
            for _ in [source for source in (p, q) if isinstance(source, LM)]:
                self._count(batch)

        self._each_batch(run)
        return self.result

    def _each_batch(self, run: Callable[[Sequence[int]], None]) -> None:
        lengths = [len(ids) for ids in self.sequences]
        for batch in pack(lengths, self.batch_tokens):
            self.result.splits += run_halving(batch, lengths, run)

    def _states(self, source: LM | Kept, batch: Sequence[int]) -> dict[str, Tensor]:
        """The states that predict the tokens of each wanted group, (tokens, dim)."""
        if isinstance(source, Kept):
            return {
                name: states[torch.from_numpy(self.groups[name].at(batch)[0])].to(self.device)
                for name, states in source.states.items()
            }
        ids = pad([self.sequences[i] for i in batch])
        hidden = source.hidden(torch.from_numpy(ids).to(self.device))
        finite = torch.isfinite(hidden).all(2).cpu().numpy()
        found = {}
        for name, group in self.groups.items():
            places, rows = group.at(batch)
            before = group.positions[places] - 1
            self._mark(batch, rows[~finite[rows, before]])
            if name in self.wanted:
                found[name] = hidden[torch.from_numpy(rows), torch.from_numpy(before)]
        return found

    def _count(self, batch: Sequence[int]) -> None:
        """Count what a model has run through, once it is done: a batch may be halved before."""
        lengths = [len(self.sequences[i]) for i in batch]
        self.result.tokens += sum(lengths)
        self.result.padded += max(lengths) * len(batch)

    def _mark(self, batch: Sequence[int], rows: np.ndarray) -> None:
        self.result.status[np.array(batch)[rows]] = "not_finite"
