"""A run from config to curated dataset, top to bottom."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import ArtifactError, DataError
from ..stages.locations import Location, locate
from ..stages.selectors.base import Selector
from . import executor, forecast, ledger, limits, manifest, selection
from .compute import compute
from .config import Config
from .files import remove, whole_file
from .folder import LOG, SCORES, STATUS, USES, RunFolder, claim
from .limits import Clock
from .logs import Reporter, logging_to
from .plan import Plan, make_plan
from .pool import Pool, check_strict, find_pool, pool_key, read_pool
from .report.report import draw_report
from .results import Scored, leave
from .rounds import Settle, Settling, find_rounds
from .sources import pin_sources
from .status import preparing
from .store import Store, open_store
from .targets import as_pools, pin_targets
from .task import no_exit
from .training import prepared
from .uses import note_uses
from .warmups import needs_training, planned, warmed_up

Made = TypeVar("Made")
FILES = ("config.yaml", "ledger.parquet", "rejected.parquet", "curated")  # of a run
MANY = 1000  # damaged files in one run: something is wrong with the disk


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        folder: where it lives.
        manifest: what it recorded.
        was_done: it stood there before, and nothing was done.
    """

    folder: RunFolder
    manifest: Mapping[str, Any]
    was_done: bool = False


def select(config: Config, reporter: Reporter, overwrite: bool = False) -> Result:
    """Score, select and export; go on where an earlier start stopped.

    Raises:
        TamisError: what stopped it; all that was computed is kept.
    """
    began = datetime.now(UTC)
    store = open_store(config.store, config.out)
    config = pin(config)
    name, clock = pool_key(config), limits.start_clock(config, store)

    def check(pool: Pool, plan: Plan) -> None:
        selection.check_choice(config)
        find_rounds(plan, config.selector, "doubted")
        selection.budget_of(config.budget, pool.n_rows, plan.cost)  # says at once if there is none

    def open_() -> tuple[Pool, Plan]:
        return _open(config, store, name, reporter, clock, check)

    with before_its_folder(config, reporter):
        pool, plan = undamaged(store, config, open_)
    folder = claim(config, manifest.result_fingerprint(config, pool, plan), overwrite)
    if folder.is_done:
        return Result(folder, folder.manifest, was_done=True)
    try:
        note_uses(folder.work, store, pool, plan)
        folder.publish([USES])
        with logging_to(folder.work / LOG), reporter.recording(folder.work / STATUS):

            def work() -> tuple[Scored, dict[str, Any]]:
                scored = score_pool(config, store, name, reporter, clock, "doubted")
                with reporter.busy("selection and export"):
                    return scored, leave(config, store, scored, folder)

            scored, found = undamaged(store, config, work)
            record = manifest.make_manifest(config, scored.pool, scored.plan, scored.reports, began)
            stages = {step.name: step.stage for step in scored.plan.every_step}
            trained = manifest.describe_warmups(warmed_up(stages))
            files = manifest.describe_files(folder.work, FILES)
            record |= found | {"warmups": trained, "files": files}
            if (foretold := _foretold(config, store, scored)) is not None:
                record["forecast"] = foretold
            folder.finish(record, FILES)
            clock.finished()
            if config.report:
                draw_report(folder.path)
    finally:
        folder.release()
    return Result(folder, record)


def _foretold(config: Config, store: Store, scored: Scored) -> dict[str, Any] | None:
    """What `tamis plan --measure` said of this run, beside the truth; None if nothing."""
    targets = {target.name: target.pool for target in scored.plan.targets}
    name = forecast.key_of(make_plan(config, scored.pool, targets), scored.pool)
    said = forecast.find(store, name)
    return None if said is None else forecast.beside(said, scored.reports)


def score_pool(
    config: Config,
    store: Store,
    name: str,
    reporter: Reporter,
    clock: Clock | None = None,
    settle: Settle = "none",
    also: Sequence[Selector] = (),
) -> Scored:
    """Compute every column that a pinned config plans.

    Args:
        config: with everything open settled.
        store: where the columns live.
        name: the key of the pool.
        reporter: shows the progress.
        clock: of the run, where it has limits.
        settle: which rows take part in later rounds of a signal.
        also: selectors whose columns are computed and read beside those of the config's own.

    Raises:
        TamisError: what stopped it; all that was computed is kept.
    """

    def check(pool: Pool, plan: Plan) -> None:
        find_rounds(plan, config.selector, settle)

    clock = clock or Clock()
    wide = config.model_copy(update={"selector": [*also, *config.selector]})
    pool, plan = _open(wide, store, name, reporter, clock, check)
    spent: tuple[int, int] | None = None
    rounds = find_rounds(plan, config.selector, settle)
    engine = limits.limited(executor.open_engine(config.engine, store.root), clock, plan)
    try:
        reports = compute(plan, pool, store, engine, reporter)
        with reporter.busy("reading what is scored"):
            table = selection.read_scored(wide, pool, plan, store)
        if rounds is not None:
            budget = selection.budget_of(config.budget, pool.n_rows, plan.cost)
            settling = Settling(
                *(rounds, config.selector, budget, pool, store, settle),
                filters=list(config.filters),
            )
            table = settling.run(table, engine, reporter)
            reports += settling.reports
            spent = settling.spent()
    finally:
        engine.close()
    return Scored(pool, plan, reports, table, spent)


def score(config: Config, reporter: Reporter) -> tuple[Location, pa.Table]:
    """Score without selecting; return where `scores.parquet` lies, and the table in it.

    Raises:
        TamisError: what stopped it; all that was computed is kept.
    """
    store = open_store(config.store, config.out)
    config = pin(config)
    name, clock = pool_key(config), limits.start_clock(config, store)
    with before_its_folder(config, reporter):
        scored = undamaged(store, config, lambda: score_pool(config, store, name, reporter, clock))
    clock.finished()
    table = scored.table.select(["row_id", "sample_id", "source"])
    for scorer in config.scorers:
        table = ledger.with_scorer(table, scored.table, scorer)
    fingerprint = manifest.result_fingerprint(config, scored.pool, scored.plan)
    folder = claim(config, fingerprint)
    try:
        if not folder.is_done:  # such a one says already what it needs
            note_uses(folder.work, store, scored.pool, scored.plan)
            folder.publish([USES])
        with whole_file(folder.path / SCORES) as partial:
            pq.write_table(table, partial, compression="zstd")
    finally:
        folder.release()
    return folder.path / SCORES, table


def undamaged(store: Store, config: Config, work: Callable[[], Made]) -> Made:
    """Do the work; where a stored file turns out damaged, set it aside and start again.

    Raises:
        DataError: a damaged file that no run makes: it is the user's, as the config names it.
    """
    named = [Path(path) for s in config.signals.values() for path in getattr(s, "adapters", ())]
    for _ in range(MANY):
        try:
            with no_exit():
                return work()
        except ArtifactError as error:
            if Path(error.path).parent in named:
                raise DataError(f"damaged file: {error}") from error
            store.set_aside(error)
    raise ArtifactError(str(store.root), f"more than {MANY} damaged files")


def pin(config: Config) -> Config:
    """Return the config with all that is open settled: hub branches, `auto` devices and dtypes."""
    config = pin_targets(pin_sources(config))
    signals = {name: signal.pinned() for name, signal in config.signals.items()}
    return config.model_copy(update={"signals": signals})


@contextmanager
def before_its_folder(config: Config, reporter: Reporter) -> Iterator[None]:
    """Say how far a run is that has no folder yet."""
    path = preparing(locate(config.out) / config.name)
    with reporter.recording(path):
        try:
            yield
        finally:
            remove(path)


def _open(
    config: Config,
    store: Store,
    name: str,
    reporter: Reporter,
    clock: Clock,
    check: Callable[[Pool, Plan], None] = lambda pool, plan: None,
) -> tuple[Pool, Plan]:
    """Read and plan; train adapters only once all that can be checked has been."""
    targets = {  # first: they are small, and a mistake there is soon found
        target: open_pool(own, store, pool_key(own), reporter)
        for target, own in as_pools(config).items()
    }
    pool = open_pool(config, store, name, reporter)
    plan = make_plan(config, pool, targets)
    check(pool, plan)
    used = planned(config, plan)
    if not needs_training(used):
        return pool, plan
    return pool, make_plan(prepared(used, store, pool, reporter, clock), pool, targets)


def open_pool(config: Config, store: Store, name: str, reporter: Reporter) -> Pool:
    """Return the pool of a config; read it into the store if it is not there.

    Raises:
        DataError: an input cannot be read, or a row of it with `strict`.
    """
    if (pool := find_pool(store, name)) is not None:
        check_strict(config, store, pool)
        return pool
    with reporter.step("read", None) as counter:
        seen = 0

        def progress(n: int) -> None:
            nonlocal seen
            counter.add(n - seen)
            seen = n

        return read_pool(config, store, name, progress)
