"""Targets: sets of example rows, read into the store as small pools of their own.

What is computed of a target's rows is computed by the same steps as for the pool, and lies in the
same folders under the hashes of the target's parts. So any run that aims at the same rows finds it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ..errors import PlanError
from ..scorers.base import Reader
from .config import Config
from .pool import Pool
from .sources import pin_sources
from .store import Address, Part, Store

SUBTASK = "subtask"


@dataclass(frozen=True)
class Aim:
    """Where a scorer or filter finds what it reads of a target.

    Attributes:
        parts: of the target.
        reads: by full name; with `subtask` where the target has such a column.
    """

    parts: tuple[Part, ...]
    reads: Mapping[str, Address]

    @property
    def identity(self) -> dict[str, Any]:
        """What stands for the target's rows in the key of what reads them."""
        whole = any(address.whole for address in self.reads.values())
        inputs = {c: a.folder or f"{a.column}:{a.kind}" for c, a in self.reads.items()}
        return {"parts": [part.name(whole) for part in self.parts], "inputs": inputs}

    def rows(self, store: Store) -> pa.Table:
        """Return the rows of the target as `Reader.aim` gets them.

        Raises:
            ArtifactError: a file is damaged.
        """
        rows = pa.concat_tables(store.read_pool(self.parts, self.reads)).combine_chunks()
        if SUBTASK not in self.reads:
            return rows.append_column(SUBTASK, pa.nulls(len(rows), pa.string()))
        place = rows.schema.get_field_index(SUBTASK)
        return rows.set_column(place, SUBTASK, rows[SUBTASK].cast(pa.string()))


def as_pools(config: Config) -> dict[str, Config]:
    """Return for each target that something aims at the config whose pool it is.

    Every row of it must be readable: a target is small and chosen by hand.

    Raises:
        PlanError: a scorer or filter aims at what is no target of the config.
    """
    aimed = dict[str, Config]()
    for place, (_, reader) in config.readers.items():
        for target in reader.targets:
            if target not in config.targets:
                raise PlanError(
                    f"{place} aims at {target!r}, which is no target of the config; there are "
                    f"{', '.join(config.targets) or '(none)'}"
                )
            own = {"data": [config.targets[target]], "strict": True}
            aimed[target] = config.model_copy(update=own)
    return aimed


def pin_targets(config: Config) -> Config:
    """Return the config with the exact commit of every target that comes from the hub.

    Raises:
        DataError: a path that is neither there nor on the hub.
        PlanError: a scorer or filter aims at what is no target of the config.
    """
    pinned = {name: pin_sources(own).data[0] for name, own in as_pools(config).items()}
    return config.model_copy(update={"targets": {**config.targets, **pinned}})


def check_reads(config: Config, place: str, block: Reader) -> None:
    """Check that what is read of targets is there before the pool is worked on.

    Args:
        config: the config.
        place: of the scorer or filter in it, for messages.
        block: which.

    Raises:
        PlanError: so.
    """
    together = type(block).fit_to_targets is not Reader.fit_to_targets
    if block.targets and block.fits_pool and not together:
        raise PlanError(f"{place} has targets and fits the pool, but has no fit_to_targets")
    for target in block.targets:
        reader = f"{place} of targets.{target}"
        for name in block.target_reads.names:
            maker = name.partition(".")[0]
            if maker in config.scorers or maker in config.filters:
                raise PlanError(f"{reader} reads {name}; of a target only signals can be read")
            if maker in config.signals and config.signals[maker].n_rounds > 1:
                raise PlanError(f"{reader} reads signals.{maker}, which works in rounds")
            if maker in config.signals and config.signals[maker].fits_pool:
                raise PlanError(
                    f"{reader} reads signals.{maker}, which is fitted to the pool and says nothing "
                    f"of other rows"
                )


def find_aim(
    config: Config,
    pools: Mapping[str, Pool],
    target: str,
    reads: pa.Schema,
    columns: Mapping[str, Address],
) -> Aim:
    """Return where a scorer or filter finds what it reads of a target.

    Args:
        config: the config.
        pools: the targets by name.
        target: which.
        reads: the columns of its rows that are needed.
        columns: where those that signals make will live.

    Raises:
        PlanError: the target has no column of its subtasks.
    """
    pool, subtask = pools[target], config.targets[target].subtask
    found = {name: columns.get(name, pool.address(name)) for name in reads.names}
    if subtask:
        if pool.parts and subtask not in pool.columns:
            there = ", ".join(sorted(pool.columns)) or "(none)"
            raise PlanError(f"targets.{target}.subtask: no column {subtask}; there are {there}")
        found[SUBTASK] = pool.address(subtask)
    return Aim(pool.parts, found)
