"""Trains LoRA adapters for a few epochs and leaves a checkpoint after each.

The loss of a row is the mean over its answer tokens, that of a step the mean over its rows, in as
many passes as memory asks for (gradient accumulation). AdamW with fp32 moments; the moments and the
mean learning rate of every epoch are kept beside the adapters, since the gradients of
`stages.signals.gradient` are taken in Adam's direction.

The order of an epoch, the dropout of a row in a step (`stages.dropout`) and the fresh adapters come
from the seed alone. So what a start finds done it need not repeat: it goes on after the last
finished epoch, and leaves the same bytes as one that was not interrupted (same machine, threads,
`batch_tokens` and workers). Another `batch_tokens`, or several workers that share the rows of every
step (`stages.crew`), move the adapters by rounding.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from ..errors import ArtifactError, DataError, ModelError
from ..kernels.adam import BETAS, EPSILON
from ..kernels.token_loss import token_loss
from .adapters import NAME, Lora, attach_new
from .checkpoints import is_whole, read_moments, read_weights, write_checkpoint
from .crew import ALONE, Crew
from .dropout import RowDropout, draw, dropouts
from .facts import FACTS, facts_of
from .halving import no_room
from .modelled import ModelStage
from .models import LM
from .packing import pack, pad
from .passes import Tokens
from .tokenize import scored_rows
from .warmup import Warmup, learning_rates


@dataclass
class Training:
    """A warm-up to run.

    Attributes:
        lm: the model, without adapters; gets some.
        model: its name, for messages.
        settings: how to train; with a seed.
        sequences: token ids of each row.
        positions: answer tokens of each that have a loss, at least one.
        batch_tokens: padded tokens of a pass.
        progress: called with rows and tokens after every pass.
        crew: the workers that train together, of which this is one.
    """

    lm: LM
    model: str
    settings: Warmup
    sequences: Sequence[Sequence[int]]
    positions: Sequence[np.ndarray]
    batch_tokens: int
    progress: Callable[[int, int], None]
    crew: Crew = ALONE

    def run(self, folder: Path) -> Iterator[dict[str, Any]]:
        """Train what is missing of the epochs; yield the facts of each checkpoint, in order.

        Of a crew only the first worker writes and yields anything.

        Args:
            folder: gets `checkpoint-1` and so on.

        Raises:
            ModelError: no layers to train, or a loss that is not finite.
            ArtifactError: a checkpoint to go on from is damaged.
        """
        said, seed = self.settings, self.settings.seed or 0
        devices = [torch.cuda.current_device()] if self.lm.device == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            lora = attach_new(
                self.lm,
                self.model,
                {"r": said.rank, "lora_alpha": said.alpha, "lora_dropout": said.dropout},
                said.target_modules,
            )
            optimizer = torch.optim.AdamW(
                list(lora.parameters.values()),
                lr=said.learning_rate,
                betas=BETAS,
                eps=EPSILON,
                weight_decay=said.weight_decay,
            )
            trained = _Trained(lora, optimizer, dropouts(self.lm.backbone, NAME, self.lm.kernel))
            done = last_epoch(folder)
            if done:
                self._resume(folder / f"checkpoint-{done}", lora, optimizer)
            per_epoch = math.ceil(len(self.sequences) / said.batch)
            rates = learning_rates(said, per_epoch * said.epochs)
            for epoch in range(1, said.epochs + 1):
                path = folder / f"checkpoint-{epoch}"
                if epoch > done:
                    mine = rates[(epoch - 1) * per_epoch : epoch * per_epoch]
                    losses = self._epoch(epoch, trained, mine)
                    if self.crew.rank == 0:
                        facts, moments = self._facts(epoch, mine, losses), _moments(lora, optimizer)
                        write_checkpoint(path, lora.settings, lora.parameters, moments, facts)
                if self.crew.rank == 0:  # for the others it may not be there yet
                    yield dict(facts_of(str(path)))

    def _epoch(self, epoch: int, trained: "_Trained", rates: np.ndarray) -> list[float]:
        """Take the steps of an epoch; return the loss of each."""
        seed, batch = self.settings.seed or 0, self.settings.batch
        order = np.random.default_rng([seed, epoch]).permutation(len(self.sequences))
        losses = []
        for step, rate in enumerate(rates):
            for group in trained.optimizer.param_groups:
                group["lr"] = float(rate)
            rows = order[step * batch : (step + 1) * batch]
            keys = np.random.default_rng([seed, epoch, 1 + step]).integers(1 << 63, size=len(rows))
            with no_room(
                f"a pass of the warm-up does not fit into memory; set batch_tokens (now "
                f"{self.batch_tokens}) or max_tokens lower"
            ):
                losses.append(self._step(rows, keys, trained))
            if not math.isfinite(losses[-1]):
                raise ModelError(
                    f"model {self.model!r}: the loss of the warm-up is {losses[-1]} in step "
                    f"{step + 1} of epoch {epoch}; set a lower warmup.learning_rate"
                )
        return losses

    def _step(self, rows: np.ndarray, keys: np.ndarray, trained: "_Trained") -> float:
        """Take one step over some rows, each with a key of its own; return their mean loss."""
        optimizer, parameters = trained.optimizer, list(trained.lora.parameters.values())
        optimizer.zero_grad()
        n_rows, mine = len(rows), self.crew.share([len(self.sequences[i]) for i in rows])
        rows, keys = rows[mine], keys[mine]
        total, lengths = 0.0, [len(self.sequences[i]) for i in rows]
        for module in trained.masks:
            module.train()
        for batch in pack(lengths, self.batch_tokens):
            some = rows[batch]
            ids = pad([self.sequences[i] for i in some])
            draw(trained.masks, torch.from_numpy(keys[batch]).to(self.lm.device), ids.shape[1])
            places, owner = Tokens.of([self.positions[i] for i in some]).at(range(len(some)))
            at = np.concatenate([self.positions[i] for i in some])[places]
            share = 1 / (np.bincount(owner, minlength=len(some))[owner] * n_rows)
            hidden = self.lm.hidden(torch.from_numpy(ids).to(self.lm.device))
            states = hidden[torch.from_numpy(owner), torch.from_numpy(at - 1)]
            targets = torch.from_numpy(ids[owner, at]).to(self.lm.device)
            weights = torch.from_numpy(share.astype(np.float32)).to(self.lm.device)
            loss = (token_loss(states, self.lm.head, targets) * weights).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
            self.progress(len(some), sum(lengths[i] for i in batch))
        for module in trained.masks:
            module.eval()
        total = self.crew.add_up(parameters, total)
        if self.settings.max_grad_norm:
            nn.utils.clip_grad_norm_(parameters, self.settings.max_grad_norm)
        optimizer.step()
        return total

    def _facts(self, epoch: int, rates: np.ndarray, losses: list[float]) -> dict[str, Any]:
        return {
            "epoch": epoch,
            "epochs": self.settings.epochs,
            "steps": epoch * len(rates),
            "rows": len(self.sequences),
            "mean_learning_rate": float(rates.mean()),
            "loss": float(np.mean(losses)),
            "losses": [round(loss, 6) for loss in losses],
        }

    def _resume(self, path: Path, lora: Lora, optimizer: torch.optim.AdamW) -> None:
        """Take weights and moments as they were after an epoch."""
        lora.fill(read_weights(str(path)), str(path))
        moments = read_moments(str(path), lora.parameters)
        for name, parameter in lora.parameters.items():
            m, v = (some.to(self.lm.device) for some in moments[name])
            step = torch.tensor(float(facts_of(str(path))["steps"]))
            optimizer.state[parameter] = {"step": step, "exp_avg": m, "exp_avg_sq": v}


def check_epochs(folder: Path, epochs: int) -> None:
    """Check that each checkpoint that is there is that of its epoch.

    Raises:
        ArtifactError: one is another's, or what it says is damaged.
    """
    for number in range(1, epochs + 1):
        path = folder / f"checkpoint-{number}"
        if is_whole(path) and (epoch := facts_of(str(path)).get("epoch")) != number:
            raise ArtifactError(str(path / FACTS), f"is of epoch {epoch}")


@dataclass(frozen=True)
class _Trained:
    """What a training changes: the adapters, their optimizer and the masks of their inputs."""

    lora: Lora
    optimizer: torch.optim.AdamW
    masks: list[RowDropout]


def training_of(
    stage: ModelStage,
    settings: Warmup,
    rows: pa.Table,
    progress: Callable[[int, int], None],
    crew: Crew = ALONE,
) -> Training:
    """Return the warm-up of the model of a stage; loads it, apart from what the stage holds.

    Args:
        stage: says which model, and how rows become tokens.
        settings: how to train; with a seed.
        rows: conversations; those without answer tokens are left out.
        progress: called with rows and tokens after every pass.
        crew: of several workers, of which this is one; all give the same rows.

    Raises:
        ModelError: the model cannot be used.
        DataError: no row has answer tokens.
    """
    own = stage.model_copy()
    ModelStage.setup(own)
    assert own._lm is not None and own._encoder is not None
    encoded = own._encoder.encode(rows.to_pylist())
    places, positions = scored_rows(encoded)
    if not len(places):
        raise DataError(f"none of the {len(rows)} rows of the warm-up has answer tokens")
    ids = [encoded[i].ids for i in places]
    budget = stage.batch_tokens
    return Training(own._lm, stage.model, settings, ids, positions, budget, progress, crew)


def last_epoch(folder: Path) -> int:
    """Return how many epochs are done: checkpoints without a gap from the first."""
    epoch = 0
    while is_whole(folder / f"checkpoint-{epoch + 1}"):
        epoch += 1
    return epoch


def _moments(
    lora: Lora, optimizer: torch.optim.AdamW
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    states = {name: optimizer.state[parameter] for name, parameter in lora.parameters.items()}
    return {name: (state["exp_avg"], state["exp_avg_sq"]) for name, state in states.items()}
