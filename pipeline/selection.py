"""The filters of a run, then its selectors, and what each decided about every row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import PlanError
from ..scorers.base import NUMBERED
from ..stages.selectors.base import OVER_BUDGET, Budget, Selector
from .config import BudgetConfig, Config, use_of
from .plan import Plan
from .pool import Pool
from .store import Store

KEPT, DROPPED, REJECTED = "kept", "dropped", "rejected"


@dataclass(frozen=True)
class Decisions:
    """What happened to each usable row of a pool; all arrays are (rows,).

    Attributes:
        step: the filter that dropped it, the scorer without a number for it, or the selector that
            dropped or kept it; where there is no selector, the last filter.
        reason: why it was dropped; for kept rows what pulled them in, or empty.
        rank: its place in that selector's order, from 1; 0 if it never came to one.
        margin: its distance to that selector's cut; NaN likewise, and for rows over the budget of
            a selector whose order is not one of numbers.
        kept: True if it is in the selection.
        said: what selectors say of their choices, line by line.
    """

    step: np.ndarray
    reason: np.ndarray
    rank: np.ndarray
    margin: np.ndarray
    kept: np.ndarray
    said: list[str] = field(default_factory=list)


def read_scored(config: Config, pool: Pool, plan: Plan, store: Store) -> pa.Table:
    """Return what selectors, ledger and labels read of a pool whose columns are all computed.

    Raises:
        ArtifactError: a file is damaged.
        PlanError: lists of more numbers than Arrow counts in one column.
    """
    names = ["row_id", "sample_id", "source"]
    for name, scorer in config.scorers.items():
        details = [d.name for d in scorer.details if not pa.types.is_list(d.type)]
        names += [f"{name}.{kind}" for kind in ("score", "status", *details)]
    for name, own in config.filters.items():
        details = [d.name for d in own.details if not pa.types.is_list(d.type)]
        names += [f"{name}.{kind}" for kind in ("reason", *details)]
    names += [name for selector in config.selector for name in selector.reads.names]
    names += [name for name in (plan.cost, config.labels) if name]
    columns = {name: plan.columns.get(name, pool.address(name)) for name in names}
    return whole_table(store.read_pool(pool.parts, columns))


def whole_table(tables: Iterable[pa.Table]) -> pa.Table:
    """Return the tables of all parts as one.

    Raises:
        PlanError: lists of more numbers than Arrow counts in one column.
    """
    table = pa.concat_tables(list(tables), promote_options="default")
    try:
        return table.combine_chunks()
    except pa.ArrowInvalid as error:
        raise PlanError(
            "a selector reads lists of 2^31 numbers or more in all; take fewer rows or queries, a "
            "number per target (by_target) in place of one per query (by_query), or the graph of "
            "knn in place of vectors"
        ) from error


def budget_of(config: BudgetConfig | None, n_pool: int, cost: str | None) -> Budget:
    """Return the budget for a pool of `n_pool` usable rows.

    Raises:
        PlanError: there is none, or it is less than one row.
    """
    if config is None:
        raise PlanError("budget is missing: {rows: n}, {fraction: f} or {answer_tokens: n}")
    if config.answer_tokens is not None:
        return Budget(config.answer_tokens, cost)
    rows = config.rows_of(n_pool)
    if rows < 1:
        raise PlanError(f"a budget of {config.fraction} of {n_pool} rows is less than one row")
    return Budget(rows)


def decide(
    pool: pa.Table, selectors: Sequence[Selector], budget: Budget, filters: Sequence[str] = ()
) -> Decisions:
    """Apply the filters, then the selectors; each narrows what the one before it kept.

    Args:
        pool: row_id, sample_id and every column that is read, one row per usable row.
        selectors: in order.
        budget: what the last one may keep.
        filters: names, in order.

    Raises:
        PlanError: there is neither, or nothing is kept.
    """
    check_selectors(selectors, filters)
    made = _undecided(len(pool))
    alive = _filtered(pool, filters, made)
    for place, (name, selector) in enumerate(zip(step_names(selectors), selectors, strict=True)):
        alive = _with_numbers(pool, selector, alive, made)
        alive, worth = _narrow(pool, (name, selector), budget, alive, made)
        if place == len(selectors) - 1:
            alive = _within(pool, budget, alive, worth, made)
    made.kept[alive] = True
    if not len(alive):
        raise PlanError(f"nothing is kept: {_funnel(made)}")
    return made


def contenders(
    pool: pa.Table, selectors: Sequence[Selector], budget: Budget, filters: Sequence[str] = ()
) -> np.ndarray:
    """Return the places of the rows that reach the last selector, in order of the pool."""
    made = _undecided(len(pool))
    alive = _filtered(pool, filters, made)
    for selector in selectors[:-1]:
        alive = _with_numbers(pool, selector, alive, made)
        alive, _ = _narrow(pool, ("", selector), budget, alive, made)
    return np.sort(_with_numbers(pool, selectors[-1], alive, made))


def _undecided(n: int) -> Decisions:
    return Decisions(
        step=np.full(n, "", dtype=object),
        reason=np.full(n, "", dtype=object),
        rank=np.zeros(n, dtype=np.int64),
        margin=np.full(n, np.nan),
        kept=np.zeros(n, dtype=bool),
    )


def _filtered(pool: pa.Table, filters: Sequence[str], made: Decisions) -> np.ndarray:
    """Drop what a filter has a reason against, and return the places of the others."""
    alive = np.arange(len(pool))
    for name in filters:
        reason = pool[f"{name}.reason"].take(pa.array(alive))
        passes = np.asarray(pc.is_null(reason))
        made.step[alive] = name
        made.reason[alive[~passes]] = reason.drop_null().to_numpy()
        alive = alive[passes]
    return alive


def check_choice(config: Config) -> None:
    """Raise if a config does not say what is to be chosen.

    Raises:
        PlanError: it has neither a selector nor a filter, or a budget that nobody is to keep.
    """
    check_selectors(config.selector, list(config.filters))
    if not config.selector and config.budget != BudgetConfig(fraction=1):
        raise PlanError(
            "selector is missing: with a budget, something must choose among what passes the "
            "filters, for example {use: top_k, by: ifd.score}; without a budget all of it is kept"
        )


def check_selectors(selectors: Sequence[Selector], filters: Sequence[str] = ()) -> None:
    """Raise if there is neither a selector nor a filter.

    Raises:
        PlanError: so.
    """
    if not selectors and not filters:
        raise PlanError("selector is missing, for example {use: top_k, by: ifd.score}")


def step_names(selectors: Sequence[Selector]) -> list[str]:
    """Return a name for each selector: its file's, numbered where it comes again."""
    return numbered([use_of(selector) for selector in selectors])


def numbered(uses: Sequence[str]) -> list[str]:
    """Return names, with a number where one comes again."""
    return [
        use if uses.index(use) == place else f"{use}-{uses[: place + 1].count(use)}"
        for place, use in enumerate(uses)
    ]


def percentile(scores: np.ndarray) -> np.ndarray:
    """Return the share of scored rows with a lower score, in [0, 1); NaN where there is none."""
    scored = np.sort(scores[np.isfinite(scores)])
    share = np.searchsorted(scored, scores, "left") / max(len(scored), 1)
    placed: np.ndarray = np.where(np.isfinite(scores), share, np.nan)
    return placed


def _with_numbers(
    pool: pa.Table, selector: Selector, alive: np.ndarray, made: Decisions
) -> np.ndarray:
    """Leave out the rows without a number in a score that the selector reads."""
    for column in selector.reads.names:
        scorer, _, kind = column.partition(".")
        if kind != "score" or scorer == "data":
            continue
        status = pool[f"{scorer}.status"].take(pa.array(alive)).combine_chunks()
        scored = np.asarray(pc.is_in(status, pa.array(NUMBERED)))
        without = alive[~scored]
        made.step[without] = scorer
        made.rank[without], made.margin[without] = 0, np.nan
        made.reason[without] = np.array(status.filter(pa.array(~scored)).to_pylist(), dtype=object)
        alive = alive[scored]
    return alive


def _narrow(
    pool: pa.Table,
    named: tuple[str, Selector],
    budget: Budget,
    alive: np.ndarray,
    made: Decisions,
) -> tuple[np.ndarray, np.ndarray]:
    """Run one selector over the rows that are left; return those it keeps, best first.

    With them comes what each is worth to it, NaN where its order is not one of numbers.
    """
    name, selector = named
    choice = selector(pool.take(pa.array(alive)), budget)
    ordered = alive[choice.order]
    dropped = choice.order[choice.n_kept :]
    made.step[alive] = name
    made.rank[ordered] = np.arange(1, len(ordered) + 1)
    made.margin[alive] = choice.margin
    made.reason[alive] = ""
    made.reason[alive[dropped]] = choice.reason[dropped]
    kept = choice.order[: choice.n_kept]
    if choice.pulled is not None:
        made.reason[alive[kept]] = choice.pulled[kept]
    made.said.extend(f"{name}: {line}" for line in choice.said)
    worth = np.full(len(kept), np.nan) if choice.worth is None else choice.worth[kept]
    return alive[kept], worth


def _within(
    pool: pa.Table, budget: Budget, ordered: np.ndarray, worth: np.ndarray, made: Decisions
) -> np.ndarray:
    """Cut what the last selector kept down to the budget; margins are then to the last kept."""
    n_fit = budget.fits(pool, ordered)
    cut = ordered[n_fit:]
    made.reason[cut] = OVER_BUDGET
    made.margin[cut] = worth[n_fit:] - (worth[n_fit - 1] if n_fit else np.inf)
    kept: np.ndarray = ordered[:n_fit]
    return kept


def _funnel(made: Decisions) -> str:
    pairs, counts = np.unique(
        np.array(
            [f"{s}: {r.partition(':')[0]}" for s, r in zip(made.step, made.reason, strict=True)]
        ),
        return_counts=True,
    )
    return "; ".join(f"{n} x {pair}" for pair, n in zip(pairs, counts, strict=True))
