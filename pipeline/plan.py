"""Which steps, in which order, with which columns; checked before anything runs.

Only what the scorers, the filters and the selector need, directly or not, is computed. Every column
has one maker: the rows, a signal, a scorer or a filter; its type must be what the reader says. What
is read of a target is planned like the pool's, and made by the same steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ..errors import PlanError
from ..scorers.base import Params, Reader
from ..stages.base import ROWS, Stage
from ..stages.judge import Judge
from ..stages.reading import Reading
from ..stages.score import Score
from . import lookup
from .config import Config, use_of
from .fingerprint import canonical, key
from .pool import Pool
from .store import Address
from .targets import Aim, check_reads, find_aim

TOKENS = "answer_tokens"


@dataclass(frozen=True)
class Step:
    """One stage over all parts.

    Attributes:
        name: in the config.
        stage: what runs; a scorer is wrapped in `Score`, a filter in `Judge`.
        wanted: its columns to compute, without its name.
        reads: where its inputs live, by full name.
        whole: it reads more of the rows than the conversations: their source or other columns.
        text: what was hashed.
        folder: `<use>-<key>`, where its columns live.
        aims: the targets of a scorer or filter by name.
    """

    name: str
    stage: Stage
    wanted: tuple[str, ...]
    reads: Mapping[str, Address]
    whole: bool
    text: str
    folder: str
    aims: Mapping[str, Aim] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name of its results."""
        return self.folder.rpartition("-")[2]

    @property
    def is_scorer(self) -> bool:
        """Whether it runs a scorer."""
        return isinstance(self.stage, Score)

    @property
    def use(self) -> str:
        """The file of its class."""
        return self.folder.rpartition("-")[0]


@dataclass(frozen=True)
class TargetPlan:
    """What is computed of a target.

    Attributes:
        name: in the config.
        pool: its rows.
        steps: as those of a `Plan`.
    """

    name: str
    pool: Pool
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Plan:
    """The steps of a run.

    Attributes:
        steps: in order; a step reads only from those before it.
        columns: where every planned column lives, by full name.
        cost: the column that counts a budget in answer tokens, or None.
        targets: what comes before the steps.
    """

    steps: tuple[Step, ...]
    columns: Mapping[str, Address]
    cost: str | None
    targets: tuple[TargetPlan, ...] = ()

    @property
    def every_step(self) -> tuple[Step, ...]:
        """The steps of the targets, then those of the pool."""
        return (*(step for target in self.targets for step in target.steps), *self.steps)


def make_plan(config: Config, pool: Pool, targets: Mapping[str, Pool] | None = None) -> Plan:
    """Return the plan of a config over a pool.

    Args:
        config: the config.
        pool: its pool.
        targets: those of `as_pools`, read.

    Raises:
        PlanError: a column nobody makes or of another type, a circle, a setting that does not fit.
    """
    planner = _Planner(config, pool)
    plans = _plan_targets(planner, targets or {})
    cost = _cost_column(config)
    for place, selector in enumerate(config.selector):
        planner.need(f"selector.{place}", selector.reads)
    if cost:
        planner.need("budget", pa.schema([(cost, pa.int32())]))
    if config.labels:
        planner.need("labels", pa.schema([(config.labels, pa.null())]))
    for where, (name, reader) in config.readers.items():
        planner.check_settings(where, reader)
        made = [f for f in planner.stages[name].adds if f.name not in reader.optional.names]
        planner.need(where, _full_names(name, pa.schema(made)))
    steps, columns = planner.plan()
    return Plan(steps, columns, cost, plans)


def _plan_targets(planner: "_Planner", pools: Mapping[str, Pool]) -> tuple[TargetPlan, ...]:
    """Plan what is read of targets, and tell the planner of the pool where it is found."""
    config = planner.config
    own = {target: _Planner(config, pool) for target, pool in pools.items()}
    for place, (_, reader) in config.readers.items():
        check_reads(config, place, reader)
        for target in reader.targets:
            own[target].need(f"{place} of targets.{target}", reader.target_reads)
    made = {target: other.plan() for target, other in own.items()}
    for name, reader in config.readers.values():
        for target in reader.targets:
            aim = find_aim(config, pools, target, reader.target_reads, made[target][1])
            planner.aims.setdefault(name, {})[target] = aim
    return tuple(TargetPlan(name, pools[name], steps) for name, (steps, _) in made.items())


def _full_names(name: str, schema: pa.Schema) -> pa.Schema:
    return pa.schema([(f"{name}.{field.name}", field.type) for field in schema])


def _cost_column(config: Config) -> str | None:
    if config.budget is None or config.budget.answer_tokens is None:
        return None
    for name, signal in config.signals.items():
        if TOKENS in signal.adds.names:
            return f"{name}.{TOKENS}"
    raise PlanError(
        "budget.answer_tokens needs a signal that counts them: forward, or length with a tokenizer"
    )


class _Planner:
    """Collects wanted columns, then orders and names the steps that make them."""

    def __init__(self, config: Config, pool: Pool) -> None:
        self.config, self.pool = config, pool
        self.wanted: dict[str, dict[str, None]] = {}  # step -> columns, in order
        self.aims: dict[str, dict[str, Aim]] = {}  # scorer or filter -> targets
        self.stages: dict[str, Stage] = dict(config.signals)
        self.stages |= {name: Score(scorer=scorer) for name, scorer in config.scorers.items()}
        self.stages |= {name: Judge(filter=own) for name, own in config.filters.items()}

    def need(self, reader: str, schema: pa.Schema) -> None:
        """Want columns for a reader, and what their makers read in turn."""
        for read in schema:
            maker, _, column = read.name.partition(".")
            if maker not in self.stages:
                self._check_row_column(reader, read)
                continue
            self._check_made(reader, read)
            first = maker not in self.wanted
            self.wanted.setdefault(maker, {})[column] = None
            if first:
                self.need(maker, self.stages[maker].reads)

    def check_settings(self, place: str, reader: Reader) -> None:
        """Check what a scorer or filter requires of its signal."""
        name = getattr(reader, "signal", "")
        stage = self.config.signals.get(name)
        if stage is not None and (why := reader.misfit(dict(stage))):
            raise PlanError(f"{place} does not fit signals.{name}: {why}")

    def plan(self) -> tuple[tuple[Step, ...], dict[str, Address]]:
        """Return the steps, each after those that it reads from, and where columns live."""
        columns: dict[str, Address] = {}
        steps: list[Step] = []
        waiting = [name for name in self.stages if name in self.wanted]
        while waiting:
            ready = [name for name in waiting if not self._makers(name) & set(waiting)]
            if not ready:
                raise PlanError(f"these read each other in a circle: {', '.join(waiting)}")
            waiting.remove(ready[0])
            steps.append(self._step(ready[0], columns))
        return tuple(steps), columns

    def _check_made(self, reader: str, field: pa.Field) -> None:
        maker, _, column = field.name.partition(".")
        adds = self.stages[maker].adds
        if column not in adds.names:
            shown = ", ".join(adds.names[:8]) + (", …" if len(adds) > 8 else "")
            made = f"{maker} makes no such column, but {shown}"
            raise PlanError(f"{reader} reads {field.name}; {made}")
        made = adds.field(column).type
        if field.type not in (made, pa.null()):
            raise PlanError(f"{reader} reads {field.name} as {field.type}, but it is {made}")

    def _check_row_column(self, reader: str, field: pa.Field) -> None:
        if field.name == "row_id" and reader in self.stages:
            raise PlanError(
                f"{reader} reads row_id, which is a place in the pool; what a signal, scorer or "
                f"filter finds is kept by content, wherever a row stands"
            )
        unread = not self.pool.parts and field.name.startswith("data.")  # a later part may have it
        if field.name in ROWS.names or field.name in self.pool.columns or unread:
            if field.name.startswith("data.") and field.type != pa.null():
                raise PlanError(f"{reader} reads {field.name}; read it by the `column` scorer")
            return
        others = sorted(self.pool.columns)
        blocks = sorted(self.stages)
        raise PlanError(
            f"{reader} reads {field.name}, which nobody makes; there are the blocks "
            f"{', '.join(blocks) or '(none)'} and the input columns {', '.join(others) or '(none)'}"
        )

    def _makers(self, name: str) -> set[str]:
        return {column.partition(".")[0] for column in self.stages[name].reads.names}

    def _step(self, name: str, columns: dict[str, Address]) -> Step:
        """Name a step by all that makes its result, and note where its columns will live."""
        stage, wanted = self.stages[name], tuple(self.wanted[name])
        reads = {c: columns.get(c, self.pool.address(c)) for c in stage.reads.names}
        whole = any(a.whole for a in reads.values())
        params: Params = stage.reader if isinstance(stage, Reading) else stage
        made: dict[str, Any] = {
            "class": type(params).__name__,
            "version": lookup.version_of(type(params)),
            "fields": stage.identity(),
            "inputs": {c: a.folder or a.kind for c, a in reads.items() if a.folder or a.kind},
        }
        if stage.depends_on_hardware:
            made["threads"] = self.config.engine.threads
        if stage.fits_pool:
            if stage.n_rounds > 1:
                raise PlanError(f"signals.{name} fits the whole pool, and so cannot work in rounds")
            made["pool"] = [part.name(whole) for part in self.pool.parts]
        aims = self.aims.get(name, {})
        if aims:
            made["targets"] = [aim.identity for aim in aims.values()]
        text = canonical(made)
        folder = folder_of(params, key(text))
        columns |= {f"{name}.{column}": Address(folder, column, whole) for column in wanted}
        return Step(name, stage, wanted, reads, whole, text, folder, aims)


def folder_of(params: Params, name: str) -> str:
    """Return where the results of a block with this key live: a user's file without its folder."""
    short = use_of(params).rpartition("/")[2].removesuffix(".py")
    return f"{short}-{name}"
