"""The warm-ups that a config asks for: their keys, their places in the store, their rows.

The key holds all that makes the adapters: the model's content, how rows become tokens, the content
of the pool, the settings with their seed, dtype, device, threads, and workers where there are many.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..stages.modelled import ModelStage
from ..stages.warmup import Warmup, chosen
from .config import Config
from .fingerprint import canonical, key
from .pool import Pool
from .store import Store

VERSION = 1  # raised when the same settings give other adapters
DECIDES = ("model", "dtype", "device", "template", "max_tokens", "attention", "trust_remote_code")
"""Fields of a signal's identity that decide its adapters; the rest is about gradients."""


@dataclass(frozen=True)
class Wanted:
    """A warm-up that a config asks for.

    Attributes:
        name: of the signal.
        signal: whose adapters are wanted.
        settings: without gaps.
        text: that was hashed into the key.
        folder: in the store.
    """

    name: str
    signal: ModelStage
    settings: Warmup
    text: str
    folder: Path

    @property
    def paths(self) -> tuple[str, ...]:
        """The folders of the checkpoints."""
        epochs = range(1, self.settings.epochs + 1)
        return tuple(str(self.folder / f"checkpoint-{epoch}") for epoch in epochs)

    def places(self, store: Store, pool: Pool) -> np.ndarray:
        """Return the places in the pool of the rows to train on, ascending."""
        ids = {"sample_id": pool.address("sample_id")}
        samples = [table["sample_id"] for table in store.read_pool(pool.parts, ids)]
        joined = pa.chunked_array([chunk for column in samples for chunk in column.chunks])
        return chosen(joined, self.settings.seed or 0, self.settings.share)

    def rows(self, store: Store, pool: Pool, places: np.ndarray) -> pa.Table:
        """Read the conversations at some places, in the order of the pool."""
        columns = {name: pool.address(name) for name in self.signal.reads.names}
        tables, first = [], 0
        for part in pool.parts:
            inside = places[(places >= first) & (places < first + part.n_rows)] - first
            if len(inside):
                tables.append(store.read(part, columns).take(np.asarray(inside)))
            first += part.n_rows
        return pa.concat_tables(tables, promote_options="permissive")


@dataclass(frozen=True)
class WarmedUp:
    """The adapters of one signal.

    Attributes:
        signal: its name in the config.
        folder: in the store.
        checkpoints: what checkpoint.json says of each, in order.
        workers: that trained them together.
    """

    signal: str
    folder: Path
    checkpoints: tuple[Mapping[str, Any], ...]
    workers: int = 1


def needs_training(config: Config) -> bool:
    """Return whether some signal has a `warmup`."""
    return any(warmup_of(signal) is not None for signal in config.signals.values())


def warmup_of(signal: object) -> Warmup | None:
    """Return how the adapters of a signal are trained; None where it has none to train."""
    found = getattr(signal, "warmup", None)
    return found if isinstance(found, Warmup) else None


def wanted(config: Config, store: Store, pool: Pool) -> list[Wanted]:
    """Return the warm-ups of a config with everything open settled."""
    found = []
    for name, signal in config.signals.items():
        asked = warmup_of(signal)
        if asked is None or not isinstance(signal, ModelStage):
            continue
        seed = getattr(signal, "seed", None) if asked.seed is None else asked.seed
        threads = asked.threads or config.engine.threads
        settings = asked.model_copy(update={"seed": seed or 0, "threads": threads})
        identity = signal.identity()
        text = canonical(
            {
                "class": "Warmup",
                "version": VERSION,
                "fields": settings.identity(),
                "model": {field: identity[field] for field in DECIDES},
                "parts": [part.hash for part in pool.parts],
            }
        )
        folder = store.root.absolute() / f"warmup-{key(text)}"
        found.append(Wanted(name, signal, settings, text, folder))
    return found


def filled(config: Config, store: Store, pool: Pool) -> Config:
    """Return a config with those adapters that are in the store already; nothing is trained."""
    if not pool.parts or not needs_training(config):
        return config
    from ..stages.lora import last_epoch  # torch

    there = [
        one for one in wanted(config, store, pool) if last_epoch(one.folder) >= one.settings.epochs
    ]
    return with_adapters(config, there)


def warmed_up(config: Config, store: Store, pool: Pool) -> list[WarmedUp]:
    """Return what the warm-ups of a config have left; all are finished."""
    if not needs_training(config):
        return []
    from ..stages.checkpoints import facts_of  # torch

    return [
        WarmedUp(one.name, one.folder, tuple(map(facts_of, one.paths)), one.settings.workers)
        for one in wanted(config, store, pool)
    ]


def with_adapters(config: Config, asked: list[Wanted]) -> Config:
    """Return a config whose signals have the folders of these warm-ups as their adapters."""
    signals = dict(config.signals)
    for one in asked:
        signals[one.name] = one.signal.model_copy(update={"adapters": one.paths})
    return config.model_copy(update={"signals": signals})
