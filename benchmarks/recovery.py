"""Fine-tunes a pruned model with LoRA; weights that pruning has set to zero stay zero.

Every linear layer of the decoder blocks works with ``W + (W != 0) * B A * scale`` in place of W,
while it trains and when it is written. So the written model is exactly the one that was trained,
and as sparse as the pruned one. The loss of a step is the mean over its answer tokens; AdamW with
clipped gradients, a rate that rises and falls linearly; no dropout.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from tamis.kernels.token_loss import token_loss
from tamis.stages.base import ROWS
from tamis.stages.hardware import resolve_dtype
from tamis.stages.heads import lm_head
from tamis.stages.ingest import ingest
from tamis.stages.models import DTYPES, fuse_gelu
from tamis.stages.packing import pack, pad
from tamis.stages.pretrained import pretrained
from tamis.stages.pruning.blocks import decoder_blocks, linear_layers, rows_of
from tamis.stages.signals.forward import Forward
from tamis.stages.source import Source
from tamis.stages.tokenize import scored_rows
from tamis.stages.warmup import Warmup, learning_rates
from torch import Tensor, nn
from torch.nn.utils import parametrize

SUM, COUNT = "given.token_loss_sum", "given.token_loss_count"
MAX_CHARS = 1_000_000
PASS_TOKENS = 4_096  # of a pass, with padding


@dataclass(frozen=True)
class Recipe:
    """How adapters are trained; the rest is in this file.

    Attributes:
        learning_rate: the highest.
        rank: of the adapters; what they add is multiplied by 2.
        batch: rows of a step.
        seed: of the adapters and of the order of the rows.
    """

    learning_rate: float
    rank: int
    batch: int
    seed: int


class Adapter(nn.Module):
    """LoRA as a parametrisation of a weight, which leaves its zeros alone."""

    def __init__(self, layer: nn.Module, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        n_out, n_in = rows_of(layer).shape
        bound = n_in**-0.5  # as peft begins: A uniform, B zero
        start = torch.rand(rank, n_in, generator=generator) * 2 * bound - bound
        self.a = nn.Parameter(start)
        self.b = nn.Parameter(torch.zeros(n_out, rank))
        self.transposed = not isinstance(layer, nn.Linear)
        self.kept = (rows_of(layer) != 0).float()

    def forward(self, weight: Tensor) -> Tensor:
        """Return what the layer works with in place of its weight."""
        delta = self.kept * (2 * self.b @ self.a)
        return (weight + (delta.T if self.transposed else delta)).to(weight.dtype)


def conversations(path: Path) -> pa.Table:
    """Read a file as a trainer would: its usable rows."""
    parts = ingest([(Source(name="rows", path=str(path)), "")], part_rows=1024, max_chars=MAX_CHARS)
    rows = [row for part in parts for row in part.rows]
    return pa.Table.from_pylist(rows, pa.schema([f for f in ROWS if f.name != "row_id"]))


def losses(model: str, template: str, rows: pa.Table) -> np.ndarray:
    """Loss of each row's answer and its tokens, (2, rows with any) float64."""
    found = _stage(model, template).run(rows, [SUM, COUNT])
    both = np.array([found[name].to_numpy(zero_copy_only=False) for name in (SUM, COUNT)], float)
    return both[:, np.nan_to_num(both[1]) > 0]


def lengths_of(model: str, template: str, rows: pa.Table) -> tuple[int, int]:
    """Tokens of the rows that have an answer, cut at the window, and scored ones among them."""
    sequences, positions = _encoded(model, template, rows)
    return sum(map(len, sequences)), sum(map(len, positions))


def tune(
    model: str, template: str, rows: pa.Table, tokens: int | None, how: Recipe, out: Path
) -> dict[str, Any]:
    """Train, and write the model; return what it was trained on.

    Args:
        model: the pruned one.
        template: see `stages.templates`.
        rows: conversations.
        tokens: how many to train on; None: each row once.
        how: the settings.
        out: the folder to write.
    """
    sequences, positions = _encoded(model, template, rows)
    order = drawn([len(ids) for ids in sequences], tokens, how.seed)
    lm = pretrained(model, dtype=DTYPES[resolve_dtype("auto", "cpu")]).eval().requires_grad_(False)
    fuse_gelu(lm)
    generator = torch.Generator().manual_seed(how.seed)
    layers = [layer for block in decoder_blocks(lm)[1] for layer in linear_layers(block).values()]
    adapters = [Adapter(layer, how.rank, generator) for layer in layers]
    for layer, adapter in zip(layers, adapters, strict=True):
        parametrize.register_parametrization(layer, "weight", adapter)
    steps = [order[at : at + how.batch] for at in range(0, len(order), how.batch)]
    rates = learning_rates(Warmup(learning_rate=how.learning_rate), len(steps))
    parameters = [p for adapter in adapters for p in (adapter.a, adapter.b)]
    optimizer = torch.optim.AdamW(parameters, weight_decay=0.0)
    found = []
    for some, rate in zip(steps, rates, strict=True):
        optimizer.param_groups[0]["lr"] = float(rate)
        optimizer.zero_grad()
        found.append(_backward(lm, [sequences[i] for i in some], [positions[i] for i in some]))
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    for layer in layers:
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    shutil.copytree(model, out)
    lm.save_pretrained(out)
    return {
        "rows": len(order),
        "distinct_rows": len(set(order)),
        "tokens": sum(len(sequences[i]) for i in order),
        "answer_tokens": sum(len(positions[i]) for i in order),
        "steps": len(steps),
        "training_losses": [round(loss, 4) for loss in found],
    }


def _backward(lm: Any, sequences: list[list[int]], positions: list[np.ndarray]) -> float:  # noqa: ANN401
    """Gradients of the mean loss of the answer tokens of some rows; return this loss."""
    head, n, found = lm_head(lm), sum(map(len, positions)), []
    with parametrize.cached():  # the weights of a step are made once
        for batch in pack([len(ids) for ids in sequences], PASS_TOKENS):
            ids = pad([sequences[i] for i in batch])
            owner = np.repeat(np.arange(len(batch)), [len(positions[i]) for i in batch])
            at = np.concatenate([positions[i] for i in batch])
            hidden = lm.base_model(torch.from_numpy(ids), use_cache=False).last_hidden_state
            states = hidden[torch.from_numpy(owner), torch.from_numpy(at - 1)]
            found.append(token_loss(states, head, torch.from_numpy(ids[owner, at])).sum())
        loss = torch.stack(found).sum() / n
        loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def drawn(lengths: Sequence[int], tokens: int | None, seed: int) -> list[int]:
    """Shuffled rows, each once; or again and again up to the row that would go over so many tokens.

    Args:
        lengths: tokens of each row.
        tokens: how many; None: each row once.
        seed: of the order.
    """
    rng, order, left = np.random.default_rng([seed, 0]), list[int](), tokens
    while True:
        for row in rng.permutation(len(lengths)).tolist():
            if left is not None and (left := left - lengths[row]) < 0:
                return order
            order.append(row)
        if left is None:
            return order


def zero_share(model: str) -> float:
    """Share of zeros among the weights of the linear layers."""
    blocks = decoder_blocks(pretrained(model))[1]
    weights = [rows_of(layer) for block in blocks for layer in linear_layers(block).values()]
    return float(sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights))


def _stage(model: str, template: str) -> Forward:
    return Forward(model=model, template=template, device="cpu")


def _encoded(model: str, template: str, rows: pa.Table) -> tuple[list[list[int]], list[np.ndarray]]:
    """Token ids of the rows that have an answer, and the places of its scored tokens."""
    encoded = _stage(model, template).encoder().encode(rows.to_pylist())
    places, positions = scored_rows(encoded)
    return [encoded[i].ids for i in places], list(positions)
