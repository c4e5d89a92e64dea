"""The warm-up of gradient signals: adapters trained on a share of the pool, kept in the store.

    store/warmup-<key>/checkpoint-<epoch>/   see `stages.checkpoints`
    store/warmup-<key>/step.json             the text that was hashed into the key

The key holds all that makes the adapters: the model's content, how rows become tokens, the content
of the rows that are trained on, the settings with their seed, dtype, device and threads. A start
finds finished epochs and trains the rest, in this process. The gradients are then keyed by the
content of the adapters.

A share of the whole pool is another one when rows are appended, and then so are the adapters and
all gradients. With `first`, or with the folders of trained adapters as `adapters`, they stay.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import ArtifactError, PlanError
from ..stages.modelled import ModelStage
from ..stages.warmup import Warmup, chosen
from .config import Config
from .fingerprint import canonical, key
from .logs import Reporter
from .pool import Pool, check_strict, find_pool, pool_key, read_pool
from .store import Store
from .task import limit_threads

log = logging.getLogger(__name__)

VERSION = 1  # raised when the same settings give other adapters
DECIDES = (
    *("model", "dtype", "device", "template", "max_tokens", "end_token", "attention"),
    "trust_remote_code",
)
"""Fields of a signal's identity that decide its adapters; the rest is about gradients."""


@dataclass(frozen=True)
class WarmedUp:
    """The adapters of one signal.

    Attributes:
        signal: its name in the config.
        folder: in the store.
        checkpoints: what checkpoint.json says of each, in order.
    """

    signal: str
    folder: Path
    checkpoints: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class _Wanted:
    """A warm-up that a config asks for: the signal, its settings without gaps, and its place.

    `rows` are the places in the pool of those to train on, ascending.
    """

    name: str
    signal: ModelStage
    settings: Warmup
    rows: np.ndarray
    text: str
    folder: Path

    @property
    def paths(self) -> tuple[str, ...]:
        """The folders of the checkpoints."""
        epochs = range(1, self.settings.epochs + 1)
        return tuple(str(self.folder / f"checkpoint-{epoch}") for epoch in epochs)


def needs_training(config: Config) -> bool:
    """Return whether some signal has a `warmup`."""
    return any(_warmup(signal) is not None for signal in config.signals.values())


def prepared(config: Config, store: Store, pool: Pool, reporter: Reporter) -> Config:
    """Return a config whose gradient signals have their adapters; train what is missing of them.

    It is for the plan alone: the config of a run names no folder of the store.

    Args:
        config: with everything open settled.
        store: where adapters live.
        pool: whose rows are trained on.
        reporter: shows the progress.

    Raises:
        TamisError: what stopped it; finished epochs are kept.
    """
    try:
        wanted = _wanted(config, store, pool)
        for one in wanted:
            _train(one, store, pool, reporter)
    except ArtifactError as error:
        store.set_aside(error)
        raise
    return _with_adapters(config, wanted)


def filled(config: Config, store: Store, pool: Pool) -> Config:
    """Return a config with those adapters that are in the store already; nothing is trained."""
    if not pool.parts or not needs_training(config):
        return config
    from ..stages.lora import last_epoch  # torch

    there = [
        one for one in _wanted(config, store, pool) if last_epoch(one.folder) >= one.settings.epochs
    ]
    return _with_adapters(config, there)


def warm_up(config: Config, reporter: Reporter) -> list[WarmedUp]:
    """Train the adapters of a config; return what they are.

    Raises:
        PlanError: no signal has a `warmup`.
        TamisError: what stopped it; finished epochs are kept.
    """
    from ..stages.checkpoints import facts_of  # torch
    from .run import pin

    if not needs_training(config):
        raise PlanError(
            f"no signal of this config has a `warmup`; the signals are "
            f"{', '.join(config.signals) or '(none)'}"
        )
    config = pin(config)
    store, name = Store(Path(config.store)), pool_key(config)
    pool = find_pool(store, name) or read_pool(config, store, name, lambda n: None)
    check_strict(config, store, pool)
    config = prepared(config, store, pool, reporter)
    found = []
    for name, signal in config.signals.items():
        if _warmup(signal) is not None:
            folders: tuple[str, ...] = getattr(signal, "adapters", ())
            facts = tuple(facts_of(folder) for folder in folders)
            found.append(WarmedUp(name, Path(folders[0]).parent, facts))
    return found


def _warmup(signal: object) -> Warmup | None:
    found = getattr(signal, "warmup", None)
    return found if isinstance(found, Warmup) else None


def _wanted(config: Config, store: Store, pool: Pool) -> list[_Wanted]:
    if not needs_training(config):
        return []
    tables = store.read_pool(pool.parts, {"sample_id": pool.address("sample_id")})
    samples = pa.chunked_array([c for t in tables for c in t["sample_id"].chunks], pa.string())
    found = []
    for name, signal in config.signals.items():
        asked = _warmup(signal)
        if asked is None or not isinstance(signal, ModelStage):
            continue
        if (asked.first or 0) > len(samples):
            raise PlanError(
                f"signals.{name}.warmup.first is {asked.first}, but the pool has {len(samples)} "
                f"usable rows"
            )
        seed = getattr(signal, "seed", None) if asked.seed is None else asked.seed
        threads = asked.threads or config.engine.threads
        settings = asked.model_copy(update={"seed": seed or 0, "threads": threads})
        rows = chosen(samples.slice(0, asked.first), seed or 0, settings.share)
        identity = signal.identity()
        text = canonical(
            {
                "class": "Warmup",
                "version": VERSION,
                "fields": settings.model_dump(mode="json", exclude={"share", "first"}),
                "model": {field: identity[field] for field in DECIDES},
                "rows": key("\n".join(samples.take(pa.array(rows)).to_pylist())),
            }
        )
        folder = store.root.absolute() / f"warmup-{key(text)}"
        found.append(_Wanted(name, signal, settings, rows, text, folder))
    return found


def _with_adapters(config: Config, wanted: list[_Wanted]) -> Config:
    signals = dict(config.signals)
    for one in wanted:
        signals[one.name] = one.signal.model_copy(update={"adapters": one.paths})
    return config.model_copy(update={"signals": signals})


def _train(one: _Wanted, store: Store, pool: Pool, reporter: Reporter) -> None:
    """Train what is missing of one warm-up."""
    from ..stages.lora import last_epoch, training_of  # torch

    done, epochs = last_epoch(one.folder), one.settings.epochs
    if done >= epochs:
        return
    rows = _share(store, pool, one)
    store.describe(one.folder.name, one.text)
    limit_threads(one.signal, one.settings.threads or 1)
    title = f"{one.name}, warm-up on {len(rows):,} rows"
    with reporter.step(title, len(rows) * (epochs - done)) as counter:
        training = training_of(one.signal, one.settings, rows, counter.add)
        for facts in training.run(one.folder):
            if facts["epoch"] > done:
                log.info("%s: epoch %d, loss %.4f", title, facts["epoch"], facts["loss"])
                reporter.say(f"{one.name}: epoch {facts['epoch']}, loss {facts['loss']:.4f} nats")


def _share(store: Store, pool: Pool, one: _Wanted) -> pa.Table:
    """Read the conversations of the rows to train on, in the order of the pool."""
    places = one.rows
    columns = {name: pool.address(name) for name in one.signal.reads.names}
    tables, first = [], 0
    for part in pool.parts:
        inside = places[(places >= first) & (places < first + part.n_rows)] - first
        if len(inside):
            tables.append(store.read(part, columns).take(np.asarray(inside)))
        first += part.n_rows
    return pa.concat_tables(tables, promote_options="permissive")
