"""The settings of a warm-up: LoRA training on a small share, before gradients are taken.

LESS (arXiv 2402.04333) trains four epochs on a random 5 %, and takes gradients at the end of each.
The defaults are those of its scripts; they clip the gradient's norm at 1 (the default of the
library that they call). The training itself is `stages.lora`, what it leaves `stages.adapters`.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from ..scorers.random import uniform


class Warmup(BaseModel):
    """How the adapters of a gradient signal are trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(default=0.05, gt=0, le=1)
    """Of the usable rows; at least one row."""
    first: int | None = Field(default=None, ge=1)
    """Take the share from the first so many usable rows. Rows that are appended later then change
    neither the adapters nor the gradients that are there. By default from all rows."""
    rank: int = Field(default=128, ge=1, le=65_536)
    alpha: float = Field(default=512, gt=0, allow_inf_nan=False)
    """The adapters' output is multiplied by alpha / rank."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """On the input of each adapter; the model's own dropout stays off."""
    learning_rate: float = Field(default=2e-5, gt=0, allow_inf_nan=False)
    """The highest of the schedule."""
    schedule: Literal["linear", "cosine"] = "linear"
    """linear as in the published scripts, cosine as the paper says."""
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps in which the learning rate rises from zero."""
    epochs: int = Field(default=4, ge=1)
    batch: int = Field(default=128, ge=1)
    """Rows of a step; as many passes as `batch_tokens` of the signal asks for."""
    max_grad_norm: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Longer gradients are shortened to this; 0: never."""
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    target_modules: tuple[str, ...] = ()
    """Ends of the names of the layers that get an adapter; by default every linear layer of every
    attention module."""
    seed: int | None = Field(default=None, ge=0, lt=1 << 63)
    """By default the signal's."""
    threads: int | None = Field(default=None, ge=1)
    """By default `engine.threads`; moves last digits."""
    workers: int = Field(default=1, ge=1)
    """That share the rows of every step, each with the whole model; more than one need the engine
    `ray`. Moves last digits."""

    def identity(self) -> dict[str, Any]:
        """Return what makes the adapters; one worker goes without saying."""
        return self.model_dump(mode="json", exclude={"workers"} if self.workers == 1 else None)


def chosen(sample_ids: pa.ChunkedArray, seed: int, share: float) -> np.ndarray:
    """Return the places of a seeded share of the rows, in ascending order, at least one.

    Those with the smallest draws: a row's draw depends on seed and content alone, so a larger share
    holds every smaller one. Equal draws: first come.

    Args:
        sample_ids: of all rows.
        seed: names the draw.
        share: of the rows, in (0, 1].
    """
    draws = uniform(seed, sample_ids)
    n = max(1, min(len(draws), math.ceil(share * len(draws) - 1e-9)))
    return np.sort(np.argsort(draws, kind="stable")[:n])


def learning_rates(settings: Warmup, n_steps: int) -> np.ndarray:
    """Return the learning rate of each step, (n_steps,) float64; the first of a warm-up is 0.

    The formulas of transformers' `get_linear_schedule_with_warmup` and its cosine sibling.
    """
    rising = math.ceil(n_steps * settings.warmup_ratio)
    step = np.arange(n_steps, dtype=np.float64)
    progress = (step - rising) / max(1, n_steps - rising)
    falling = 1 - progress
    if settings.schedule == "cosine":
        falling = 0.5 * (1 + np.cos(np.pi * progress))
    rates: np.ndarray = settings.learning_rate * np.where(
        step < rising, step / max(1, rising), falling
    )
    return rates


def normalised(rates: Sequence[float]) -> np.ndarray:
    """Return weights of the checkpoints, which sum to 1, in proportion to their learning rates.

    Raises:
        ValueError: rates that are not finite, negative, or all 0.
    """
    given = np.asarray(rates, dtype=np.float64)
    if not (np.isfinite(given).all() and (given >= 0).all() and given.sum() > 0):
        raise ValueError(f"weights must be finite, at least 0 and not all 0; got {list(rates)}")
    weights: np.ndarray = given / given.sum()
    return weights
