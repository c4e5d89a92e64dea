"""Runs the steps of a plan: for each, just the parts and columns that are not in the store yet."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from ..stages.base import Stage
from ..stages.reading import Reading
from .executor import Engine
from .logs import Reporter
from .plan import Plan, Step
from .pool import Pool
from .status import Parts
from .store import Address, Part, Store
from .task import Receipt, Task, limit_threads

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepReport:
    """What a step did in this run.

    Attributes:
        name, key: of the step.
        columns: that were wanted.
        parts: of the pool.
        computed: parts that were not there.
        rows: in those parts.
        seconds: from first to last.
        spent: figures of the stage, added up: tokens, padded, splits.
        number: of the round, where the step has several.
        target: whose parts they are, if not the pool's.
        work_s: of all workers together, at their parts alone.
        cpu_s: their processor time in it.
        size: bytes that were written.
        peak: bytes that a worker's process had in memory at most, since it began.
    """

    name: str
    key: str
    columns: tuple[str, ...]
    parts: int
    computed: int
    rows: int
    seconds: float
    spent: Mapping[str, float] = field(default_factory=dict)
    number: int = 0
    target: str = ""
    work_s: float = 0.0
    cpu_s: float = 0.0
    size: int = 0
    peak: int = 0


def compute(
    plan: Plan, pool: Pool, store: Store, engine: Engine, reporter: Reporter
) -> list[StepReport]:
    """Make every planned column of every part exist, those of the targets first.

    Raises:
        TamisError: a step cannot go on; what is finished stays.
    """
    reports = []
    for target in plan.targets:
        own = [_run_step(step, target.pool, store, engine, reporter) for step in target.steps]
        reports += [replace(report, target=target.name) for report in own]
    for step in plan.steps:
        # what is wrong with a target's rows is said before the pool is worked on
        if step.aims and not step.stage.fits_pool:
            fitted(step, pool.parts, store, engine, reporter)
    return reports + [_run_step(step, pool, store, engine, reporter) for step in plan.steps]


def _run_step(
    step: Step, pool: Pool, store: Store, engine: Engine, reporter: Reporter
) -> StepReport:
    missing = store.missing(step.folder, step.wanted, pool.parts, step.whole)
    tasks = [
        Task(part, names, step.reads, step.folder, step.whole) for part, names in missing.items()
    ]
    stage = fitted(step, pool.parts, store, engine, reporter) if tasks else step.stage
    if said := stage.found():
        reporter.say(f"{step.name}: {said}")
    return run_tasks((step, stage, 0), tasks, len(pool.parts), store, engine, reporter)


def run_tasks(
    work: tuple[Step, Stage, int],
    tasks: Sequence[Task],
    n_parts: int,
    store: Store,
    engine: Engine,
    reporter: Reporter,
) -> StepReport:
    """Run one round of a step on the parts that miss it; say what it did.

    Args:
        work: the step, its stage ready to run, and the number of the round.
        tasks: what is missing, all of one round.
        n_parts: of the pool.
        store: where the columns go.
        engine: runs the tasks.
        reporter: shows the progress.

    Raises:
        TamisError: it cannot go on; what is finished stays.
    """
    step, stage, number = work
    began = time.monotonic()
    n_rows = sum(task.n_rows for task in tasks)
    receipts: list[Receipt] = []
    name = f"{step.name}, round {number + 1}" if number else step.name
    if tasks:
        store.describe(step.folder, step.text)
        parts = Parts(n_parts, n_parts - len(tasks))
        with reporter.step(name, n_rows, parts, engine.doing) as counter:
            for receipt in engine.run(stage, tasks):
                counter.add(receipt.n_rows, receipt.spent.get("tokens", 0))
                _say_without(name, receipt, reporter)
                receipts.append(receipt)
    spent = _added_up(receipts)
    _say_spent(name, spent, reporter)
    seconds = round(time.monotonic() - began, 3)
    log.info("%s: %d of %d parts computed in %.1f s", step.name, len(tasks), n_parts, seconds)
    return StepReport(
        *(step.name, step.key, step.wanted, n_parts, len(tasks), n_rows, seconds, spent, number),
        work_s=round(sum(receipt.seconds for receipt in receipts), 3),
        cpu_s=round(sum(receipt.cpu_s for receipt in receipts), 3),
        size=sum(receipt.size for receipt in receipts),
        peak=max((receipt.peak for receipt in receipts), default=0),
    )


def _added_up(receipts: Sequence[Receipt]) -> dict[str, float]:
    """The figures of a stage over all its parts."""
    spent: dict[str, float] = {}
    for receipt in receipts:
        for figure, value in receipt.spent.items():
            spent[figure] = spent.get(figure, 0) + value
    return spent


def _say_without(name: str, receipt: Receipt, reporter: Reporter) -> None:
    """Say which rows of a part killed their worker."""
    if receipt.without:
        rows = ", ".join(map(str, receipt.without))
        said = f"{name}: rows {rows} kill their worker; their status is worker_died"
        log.warning(said)
        reporter.say(said)


def _say_spent(name: str, spent: Mapping[str, float], reporter: Reporter) -> None:
    if padded := spent.get("padded"):
        share = 1 - spent["tokens"] / padded
        reporter.say(f"{name}: {spent['tokens']:,.0f} tokens, {share:.1%} padding")
    if requests := spent.get("requests"):
        sent, came, cost = (spent[figure] for figure in ("tokens_in", "tokens_out", "cost"))
        said = f"{requests:,.0f} requests of {sent:,.0f} tokens, {came:,.0f} in the replies"
        reporter.say(f"{name}: {said}" + (f", cost {cost:,.4f}" if cost else ""))
    if splits := spent.get("splits"):
        reporter.say(f"{name}: out of memory, {splits:.0f} batches were halved")


def fitted(
    step: Step, parts: Sequence[Part], store: Store, engine: Engine, reporter: Reporter
) -> Stage:
    """Return the stage of a step, with what it must know of the whole pool or of its targets.

    That is kept in the store, and found once, in this process: the key of such a step holds all
    their rows.
    """
    stage = step.stage
    if not stage.fits_pool and not step.aims:
        return stage
    known = store.read_fitted(step.folder)
    if known is None:
        began = time.monotonic()
        with reporter.busy(f"fitting {step.name}"):
            rows = {name: aim.rows(store) for name, aim in step.aims.items()}
            limit_threads(stage, engine.config.threads)
            pool = _Tables(store, parts, step.reads)
            known = stage.known(pool, rows) if isinstance(stage, Reading) else stage.fit(pool)
        log.info("%s: fitted in %.1f s", step.name, time.monotonic() - began)
        if known is not None:
            store.write_fitted(step.folder, known)
    return stage.fitted_with(known)


@dataclass(frozen=True)
class _Tables:
    """The columns of a whole pool, part by part; can be read more than once."""

    store: Store
    parts: Sequence[Part]
    columns: Mapping[str, Address]

    def __iter__(self) -> Iterator[pa.Table]:
        return self.store.read_pool(self.parts, self.columns)
