"""Later rounds of a signal: more exact numbers for the rows whose place is not settled yet.

After the first round, which is a step like any other, every row has a score. Before each later
round the selector says which rows it still doubts; the signal adds to their lists, and they are
scored again. What must be known of the whole pool stays what the first round said. A row that is
settled once stays so. Who is asked for depends on the budget, and so belongs to the selection and
not to the signal: what a round found is kept by row, and serves every later budget.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import PlanError
from ..stages.base import Stage
from ..stages.reading import Reading
from ..stages.selectors.base import Budget, Selector
from .compute import StepReport, fitted, run_tasks
from .executor import Engine
from .logs import Reporter
from .plan import Plan, Step
from .pool import Pool
from .round_files import known_places, read_round
from .selection import contenders
from .store import Part, Store
from .task import Task

Settle = Literal["none", "doubted", "all"]
"""Which rows take part in later rounds; none: scores alone are wanted, and no selection."""


@dataclass(frozen=True)
class Rounds:
    """A signal that works in rounds, and the scorers that read it."""

    signal: Step
    scorers: tuple[Step, ...]


def find_rounds(plan: Plan, selectors: Sequence[Selector], settle: Settle) -> Rounds | None:
    """Return the signal of a plan that works in rounds, or None.

    Raises:
        PlanError: nothing asks for the later rounds, or more than this module can do.
    """
    signals = [step for step in plan.steps if step.stage.n_rounds > 1]
    if not signals:
        return None
    signal = signals[0]
    if len(signals) > 1:
        names = ", ".join(step.name for step in signals)
        raise PlanError(f"only one signal can work in rounds, not {names}")
    asks = bool(selectors) and type(selectors[-1]).unsettled is not Selector.unsettled
    if settle == "none" or not asks:
        lack = "a selection" if settle == "none" else "a selector that asks for them: hierarchical"
        unset = f"--set signals.{signal.name}.rounds=[]"
        raise PlanError(f"signals.{signal.name}.rounds needs {lack}; for one round of all: {unset}")
    scorers = [step for step in plan.steps if _reads(step, signal.name)]
    if others := [step.name for step in scorers if not step.is_scorer]:
        raise PlanError(f"{others[0]} reads signals.{signal.name}, which works in rounds")
    for scorer in scorers:
        if readers := [step.name for step in plan.steps if _reads(step, scorer.name)]:
            raise PlanError(
                f"{readers[0]} reads {scorer.name}, whose scores change with the rounds of "
                f"signals.{signal.name}"
            )
    return Rounds(signal, tuple(scorers))


def _reads(step: Step, name: str) -> bool:
    return any(column.partition(".")[0] == name for column in step.reads)


@dataclass
class Settling:
    """The later rounds of one run.

    Attributes:
        rounds: of which signal, for which scorers.
        selectors: of the run; the last one says whom it doubts.
        budget: of the run.
        pool: of the run.
        store: where columns live.
        settle: doubted rows; or all, and then scorers are fitted on all rounds as well.
        reports: of the rounds that were run.
        taken: rows that took part in each round, from the first on, whether computed now or before.
        filters: of the run; what they drop takes no part in later rounds.
    """

    rounds: Rounds
    selectors: Sequence[Selector]
    budget: Budget
    pool: Pool
    store: Store
    settle: Settle = "doubted"
    reports: list[StepReport] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    filters: Sequence[str] = ()

    def run(self, table: pa.Table, engine: Engine, reporter: Reporter) -> pa.Table:
        """Return the table of the pool with the scores after all rounds.

        Raises:
            TamisError: a round cannot go on; what is finished stays.
        """
        signal = self.rounds.signal
        scorers = [
            (step, fitted(step, self.pool.parts, self.store, engine, reporter))
            for step in self.rounds.scorers
        ]
        doubted = self._with_numbers(table)
        self.taken = [len(doubted)]
        for number in range(1, signal.stage.n_rounds):
            doubted = np.intersect1d(doubted, self._doubted(table))
            self.taken.append(len(doubted))
            reporter.say(f"{signal.name}: {len(doubted):,} rows to settle in round {number + 1}")
            if not len(doubted):
                break
            places = self._by_part(doubted)
            self._run_round(places, number, engine, reporter)
            for step, stage in scorers:
                table = _replaced(table, doubted, self._rescored(step, stage, places, number))
        if self.settle == "all":
            table = self._refitted(table)
        return table

    def _refitted(self, table: pa.Table) -> pa.Table:
        """Scores as one round of everything gives them: fitted on all rounds of all rows."""
        rows, last = self._with_numbers(table), self.rounds.signal.stage.n_rounds - 1
        places = self._by_part(rows)
        for step in self.rounds.scorers:
            stage = step.stage
            if stage.fits_pool:
                targets = {name: aim.rows(self.store) for name, aim in step.aims.items()}
                assert isinstance(stage, Reading)  # `find_rounds` has seen to it
                known = stage.known(_Joined(self, step, places, last), targets)
                stage = stage.fitted_with(known)
            table = _replaced(table, rows, self._rescored(step, stage, places, last))
        return table

    def spent(self) -> tuple[int, int]:
        """Return the units of work that the rows took, and those of all rows in all rounds."""
        sizes = self._sizes()
        took = sum(n * size for n, size in zip(self.taken, sizes, strict=False))
        return took, self.taken[0] * sum(sizes)

    def _sizes(self) -> list[int]:
        stage = self.rounds.signal.stage
        return [stage.round_size(number) for number in range(stage.n_rounds)]

    def _doubted(self, table: pa.Table) -> np.ndarray:
        if self.settle == "all":
            return self._with_numbers(table)
        alive = contenders(table, self.selectors, self.budget, self.filters)
        pool = table.take(pa.array(alive))
        wanted = self.selectors[-1].unsettled(pool, self.budget, sum(self._sizes()))
        doubted: np.ndarray = alive if wanted is None else alive[wanted]
        return doubted

    def _with_numbers(self, table: pa.Table) -> np.ndarray:
        """Rows that some scorer of the signal has a number for; the others took no part."""
        known = np.zeros(len(table), dtype=bool)
        for step in self.rounds.scorers:
            known |= np.asarray(pc.is_valid(table[f"{step.name}.score"]))
        return np.flatnonzero(known)

    def _by_part(self, rows: np.ndarray) -> list[tuple[Part, np.ndarray]]:
        """Places in their part of some rows of the table, for each part that has one."""
        ends = np.cumsum([part.n_rows for part in self.pool.parts])
        cuts = np.split(rows, np.searchsorted(rows, ends[:-1]))
        starts = ends - [part.n_rows for part in self.pool.parts]
        return [
            (part, cut - start)
            for part, cut, start in zip(self.pool.parts, cuts, starts, strict=True)
            if len(cut)
        ]

    def _run_round(
        self,
        places: Sequence[tuple[Part, np.ndarray]],
        number: int,
        engine: Engine,
        reporter: Reporter,
    ) -> None:
        step = self.rounds.signal
        wanted: dict[str, tuple[Part, np.ndarray]] = {}  # parts of one content share their files
        for part, own in places:
            name = part.name(step.whole)
            before = wanted[name][1] if name in wanted else np.empty(0, np.int64)
            wanted[name] = part, np.union1d(before, own)
        tasks = []
        for name, (part, own) in wanted.items():
            round_name = step.stage.round_name(number)
            known = known_places(self.store, step.folder, name, round_name, step.wanted)
            if len(missing := np.setdiff1d(own, known)):
                some = tuple(missing.tolist())
                tasks.append(
                    Task(part, step.wanted, step.reads, step.folder, step.whole, some, number)
                )
        work = step, step.stage, number
        n_parts = len(self.pool.parts)
        self.reports.append(run_tasks(work, tasks, n_parts, self.store, engine, reporter))

    def _rescored(
        self, step: Step, stage: Stage, places: Sequence[tuple[Part, np.ndarray]], number: int
    ) -> Mapping[str, pa.ChunkedArray]:
        """Columns of a scorer for the rows of a round, under their full names."""
        tables = [stage(self.lists(step, part, own, number), step.wanted) for part, own in places]
        whole = pa.concat_tables(tables)
        return {f"{step.name}.{name}": whole[name] for name in whole.column_names}

    def lists(self, step: Step, part: Part, places: np.ndarray, number: int) -> pa.Table:
        """What a scorer reads of some rows, with what all rounds so far added."""
        signal = self.rounds.signal
        rows = self.store.read(part, step.reads).take(pa.array(places)).combine_chunks()
        own = {f"{signal.name}.{column}": column for column in signal.wanted}
        read = {name: column for name, column in own.items() if name in rows.column_names}
        for later in range(1, number + 1):
            added = read_round(
                self.store,
                signal.folder,
                part.name(signal.whole),
                signal.stage.round_name(later),
                places,
                list(read.values()),
            )
            for name, column in read.items():
                joined = joined_columns(rows[name].combine_chunks(), added[column].combine_chunks())
                rows = rows.set_column(rows.column_names.index(name), name, joined)
        return rows


@dataclass(frozen=True)
class _Joined:
    """What a scorer reads of the whole pool after all rounds; can be read more than once."""

    settling: Settling
    step: Step
    places: Sequence[tuple[Part, np.ndarray]]
    number: int

    def __iter__(self) -> Iterator[pa.Table]:
        return (self.settling.lists(self.step, *where, self.number) for where in self.places)


def joined_columns(first: pa.Array, second: pa.Array) -> pa.Array:
    """Return what a column is after one more round.

    Lists are joined row by row; of two statuses the first that is not `ok` stands. A row without
    a list in one of them has none.
    """
    if not pa.types.is_list(first.type):
        return pc.if_else(pc.equal(first, "ok"), second, first)
    null = pc.or_(pc.is_null(first), pc.is_null(second))
    lengths = [
        np.asarray(part.value_lengths().fill_null(0), dtype=np.int64) for part in (first, second)
    ]
    n = len(first)
    owner = np.concatenate([np.repeat(np.arange(n), length) for length in lengths])
    values = pa.concat_arrays([first.flatten(), second.flatten()])
    values = values.take(pa.array(np.argsort(owner, kind="stable")))
    total = np.where(np.asarray(null), 0, lengths[0] + lengths[1])
    kept = ~np.asarray(null)[np.sort(owner, kind="stable")]
    offsets = np.concatenate([[0], np.cumsum(total)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values.filter(pa.array(kept)), mask=null)


def _replaced(
    table: pa.Table, places: np.ndarray, columns: Mapping[str, pa.ChunkedArray]
) -> pa.Table:
    """The table with other values at some places, for those columns that it has."""
    mask = np.zeros(len(table), dtype=bool)
    mask[places] = True
    for name, values in columns.items():
        if name in table.column_names:
            old = table[name].combine_chunks()
            new = pc.replace_with_mask(old, pa.array(mask), values.combine_chunks())
            table = table.set_column(table.column_names.index(name), name, new)
    return table
