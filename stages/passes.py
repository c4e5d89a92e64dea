"""One pass of a model over sequences: statistics of chosen tokens, one vector per sequence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ..kernels.noise import uniform
from ..kernels.pooling import pool
from .halving import run_halving
from .models import LM
from .packing import pack, pad


@dataclass(frozen=True)
class Tokens:
    """Tokens to score, in order of their sequences.

    Attributes:
        starts: (sequences + 1,) where each sequence's tokens begin in `positions`.
        positions: (tokens,) place of each token in its sequence, at least 1: a token is predicted
            from the one before it.
    """

    starts: np.ndarray
    positions: np.ndarray

    @classmethod
    def of(cls, positions: Sequence[np.ndarray]) -> "Tokens":
        """Collect the positions of each sequence."""
        starts = np.cumsum([0, *map(len, positions)])
        return cls(starts, np.concatenate([*positions, np.empty(0)]).astype(np.int64))

    def at(self, batch: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return places in `positions` of a batch of sequences, and each one's row in the batch."""
        bounds = [(self.starts[i], self.starts[i + 1]) for i in batch]
        places = [np.arange(low, high) for low, high in bounds]
        rows = np.repeat(np.arange(len(batch)), [high - low for low, high in bounds])
        return np.concatenate(places).astype(np.int64), rows


@dataclass(frozen=True)
class Noise:
    """Uniform noise on the token embeddings of each sequence, U(-1, 1) times its scale.

    A value is named by key, copy, position and dimension (`kernels.noise`), never by a place in a
    batch.

    Attributes:
        keys: (sequences,) int64, whose noise.
        copies: (sequences,) int64, which draw of it.
        first: (sequences,) int64, position in the noise of the sequence's first token.
        scales: (sequences,) float64.
    """

    keys: np.ndarray
    copies: np.ndarray
    first: np.ndarray
    scales: np.ndarray

    def of(self, batch: Sequence[int], length: int, lm: LM) -> torch.Tensor:
        """Return the noise of a batch of sequences, (batch, length, embedding dim) fp32."""
        at = np.asarray(batch)
        keys, copies, first = (
            torch.from_numpy(values[at]).to(lm.device)
            for values in (self.keys, self.copies, self.first)
        )
        scales = torch.from_numpy(self.scales[at].astype(np.float32)).to(lm.device)
        noise = uniform(keys, copies, first, length, lm.embedding_dim, lm.kernel)
        return noise.mul_(scales[:, None, None])


@dataclass
class PassResult:
    """What a pass found.

    Attributes:
        stats: for each group of tokens the wanted statistics, (tokens,) each.
        vectors: (sequences, dim) fp32 unit vectors, or None.
        status: for each sequence ok or not_finite.
        tokens, padded: tokens run through the model, without and with padding.
        splits: batches that were halved for want of memory.
    """

    stats: dict[str, dict[str, np.ndarray]]
    status: np.ndarray
    vectors: np.ndarray | None = None
    tokens: int = 0
    padded: int = 0
    splits: int = 0


@dataclass
class Pass:
    """A pass to run.

    Attributes:
        lm: the model.
        sequences: token ids of each sequence.
        groups: named groups of tokens; each is scored by itself, so that its numbers are the same
            whatever else is asked for.
        wanted: for each group the statistics of `kernels.token_stats`.
        pooling: also return one vector per sequence, pooled so.
        batch_tokens: padded tokens of a batch.
        noise: to add to the token embeddings.
    """

    lm: LM
    sequences: Sequence[Sequence[int] | np.ndarray]
    groups: Mapping[str, Tokens]
    wanted: Mapping[str, Sequence[str]]
    pooling: str | None = None
    batch_tokens: int = 8192
    noise: Noise | None = None
    _result: PassResult = field(init=False)

    @torch.inference_mode()
    def run(self) -> PassResult:
        """Run the model over all sequences, in batches of like length."""
        self._result = PassResult(
            stats={
                name: {stat: _empty(stat, len(self.groups[name].positions)) for stat in stats}
                for name, stats in self.wanted.items()
            },
            status=np.full(len(self.sequences), "ok", dtype=object),
        )
        lengths = [len(ids) for ids in self.sequences]
        for batch in pack(lengths, self.batch_tokens):
            self._result.splits += run_halving(batch, lengths, self._run_batch)
        return self._result

    def _run_batch(self, batch: Sequence[int]) -> None:
        result, device = self._result, self.lm.device
        ids = pad([self.sequences[i] for i in batch])
        noise = self.noise.of(batch, ids.shape[1], self.lm) if self.noise else None
        hidden = self.lm.hidden(torch.from_numpy(ids).to(device), noise)
        for name, stats in self.wanted.items():
            places, rows = self.groups[name].at(batch)
            if not len(places):
                continue
            positions = self.groups[name].positions[places]
            states = hidden[torch.from_numpy(rows), torch.from_numpy(positions - 1)]
            targets = torch.from_numpy(ids[rows, positions]).to(device)
            finite = torch.isfinite(states).all(1).cpu().numpy()
            result.status[np.array(batch)[rows[~finite]]] = "not_finite"
            for stat, values in self.lm.stats(states, targets, stats).items():
                result.stats[name][stat][places] = values.cpu().numpy()
                bad = torch.isnan(values).cpu().numpy()  # a logit was infinite
                result.status[np.array(batch)[rows[bad]]] = "not_finite"
        if self.pooling:
            lengths = torch.tensor([len(self.sequences[i]) for i in batch], device=device)
            vectors = pool(hidden, lengths, self.pooling).cpu().numpy()
            if result.vectors is None:
                result.vectors = np.zeros((len(self.sequences), vectors.shape[1]), np.float32)
            result.vectors[batch] = vectors
            lost = ~np.isfinite(vectors).all(1)  # by a token that no statistic is asked of
            result.status[np.array(batch)[lost]] = "not_finite"
        result.tokens += sum(len(self.sequences[i]) for i in batch)
        result.padded += ids.size


def _empty(stat: str, n: int) -> np.ndarray:
    return np.zeros(n, dtype=np.int32 if stat == "rank" else np.float32)
