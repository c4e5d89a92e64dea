"""The warm-ups that a config asks for: their keys, their places in the store, their rows.

The key holds all that makes the adapters: the model's content, how rows become tokens, the content
of the rows that are trained on, the settings with their seed, dtype, device, threads, and workers
where there are many. Rows are visited in the order of their content, not of the pool.

A share of the whole pool is another one when rows are appended, and then so are the adapters and
all gradients. With `first`, or with the folders of trained adapters as `adapters`, they stay.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import PlanError
from ..stages.base import Stage
from ..stages.facts import facts_of
from ..stages.locations import is_remote
from ..stages.modelled import ModelStage
from ..stages.warmup import Warmup, chosen
from .config import Config
from .fingerprint import canonical, key
from .plan import Plan
from .pool import Pool
from .store import Store

VERSION = 1  # raised when the same settings give other adapters
DECIDES = (
    *("model", "dtype", "device", "template", "max_tokens", "end_token", "attention"),
    "trust_remote_code",
)
"""Fields of a signal's identity that decide its adapters; the rest is about gradients."""


@dataclass(frozen=True)
class Wanted:
    """A warm-up that a config asks for.

    Attributes:
        name: of the signal.
        signal: whose adapters are wanted.
        settings: without gaps.
        places: in the pool of the rows to train on, in the order of their sample_id.
        text: that was hashed into the key.
        folder: in the store.
    """

    name: str
    signal: ModelStage
    settings: Warmup
    places: np.ndarray
    text: str
    folder: Path

    @property
    def paths(self) -> tuple[str, ...]:
        """The folders of the checkpoints."""
        epochs = range(1, self.settings.epochs + 1)
        return tuple(str(self.folder / f"checkpoint-{epoch}") for epoch in epochs)

    def rows(self, store: Store, pool: Pool) -> pa.Table:
        """Read the conversations of the rows to train on."""
        columns = {name: pool.address(name) for name in self.signal.reads.names}
        tables, first, ascending = [], 0, np.sort(self.places)
        for part in pool.parts:
            inside = ascending[(ascending >= first) & (ascending < first + part.n_rows)] - first
            if len(inside):
                tables.append(store.read(part, columns).take(np.asarray(inside)))
            first += part.n_rows
        rows = pa.concat_tables(tables, promote_options="permissive")
        return rows.take(pa.array(np.searchsorted(ascending, self.places)))


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


def planned(config: Config, plan: Plan) -> Config:
    """Return a config with those signals alone that a plan computes something of."""
    names = {step.name for step in plan.every_step}
    signals = {name: signal for name, signal in config.signals.items() if name in names}
    return config.model_copy(update={"signals": signals})


def needs_training(config: Config) -> bool:
    """Return whether some signal has a `warmup`."""
    return any(warmup_of(signal) is not None for signal in config.signals.values())


def warmup_of(signal: object) -> Warmup | None:
    """Return how the adapters of a signal are trained; None where it has none to train."""
    found = getattr(signal, "warmup", None)
    return found if isinstance(found, Warmup) else None


def wanted(config: Config, store: Store, pool: Pool) -> list[Wanted]:
    """Return the warm-ups of a config with everything open settled.

    Raises:
        PlanError: a warm-up on more rows than the pool has, or into a store at an address.
    """
    if not needs_training(config):
        return []
    if is_remote(store.root):
        raise PlanError(
            f"a warm-up needs a store on this machine, for adapters are read as files, and not "
            f"{str(store.root)!r}; train with `tamis warmup --store FOLDER`, and name the folders "
            f"that it prints as `adapters` in place of the `warmup`"
        )
    tables = store.read_pool(pool.parts, {"sample_id": pool.address("sample_id")})
    samples = pa.chunked_array([c for t in tables for c in t["sample_id"].chunks], pa.string())
    found = []
    for name, signal in config.signals.items():
        asked = warmup_of(signal)
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
        places = chosen(samples.slice(0, asked.first), seed or 0, settings.share)
        ids = np.array(samples.take(pa.array(places)).to_pylist())
        order = np.argsort(ids, kind="stable")
        identity, said = signal.identity(), settings.identity()
        text = canonical(
            {
                "class": "Warmup",
                "version": VERSION,
                "fields": {n: v for n, v in said.items() if n not in ("share", "first")},
                "model": {field: identity[field] for field in DECIDES if field in identity},
                "rows": key("\n".join(ids[order].tolist())),
            }
        )
        folder = store.root.absolute() / f"warmup-{key(text)}"
        found.append(Wanted(name, signal, settings, places[order], text, folder))
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


def warmups_of(config: Config, store: Store, pool: Pool, plan: Plan) -> dict[str, str]:
    """Return for each signal that a plan needs, and that trains adapters, what there is of them."""
    used = planned(config, plan)
    if not needs_training(used):
        return {}
    if not pool.parts:
        found = used.signals.items()
        return {name: "comes first" for name, signal in found if warmup_of(signal)}
    from ..stages.lora import last_epoch  # torch

    said = {}
    for one in wanted(used, store, pool):
        done, epochs = last_epoch(one.folder), one.settings.epochs
        state = "comes first, and names what is made of it" if done < epochs else "is there"
        said[one.name] = f"{done} of {epochs} epochs on {len(one.places):,} rows; {state}"
    return said


def warmed_up(stages: Mapping[str, Stage]) -> list[WarmedUp]:
    """Return what trained the adapters of signals; all are finished.

    Args:
        stages: signals by name, those with a `warmup` with the folders that it left.
    """
    found = []
    for name, stage in stages.items():
        if said := warmup_of(stage):
            folders: tuple[str, ...] = getattr(stage, "adapters", ())
            facts = tuple(map(facts_of, folders))
            found.append(WarmedUp(name, Path(folders[0]).parent, facts, said.workers))
    return found


def with_adapters(config: Config, asked: list[Wanted]) -> Config:
    """Return a config whose signals have the folders of these warm-ups as their adapters."""
    signals = dict(config.signals)
    for one in asked:
        signals[one.name] = one.signal.model_copy(update={"adapters": one.paths})
    return config.model_copy(update={"signals": signals})
