"""Budgets x methods from one scoring: which rows would another choice keep?

Every column that some method reads is computed once, through the store; then each method chooses at
each budget by the same code as a run, so that a cell of a sweep and a run with that selector and
budget keep the same rows. Beside them stand random choices of the same budgets.

    <out>/<name>-sweep/
      sweep.parquet     one line per choice: method, budget, seed of a random one, figures
      sweep.json        the same by method and budget, random ones as mean and range; the methods
      sweep.html        tables and charts
      choices.parquet   every usable row: its ids and source, and for each choice if it is kept
      config.yaml, manifest.json   as of a run
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import PlanError
from ..stages.selectors.base import Selector
from ..stages.selectors.random import Random
from ..stages.selectors.top_k import TopK
from ..stages.signals.length import Length
from . import manifest, selection
from .config import BudgetConfig, Config, use_of
from .files import read
from .fingerprint import canonical, key
from .folder import USES, RunFolder, claim
from .logs import Reporter
from .lookup import version_of
from .pool import pool_key
from .results import Scored
from .rounds import find_rounds
from .run import before_its_folder, pin, score_pool, undamaged
from .store import Store, open_store
from .sweep_figures import OWN, RANDOM, Cell, Facts, facts_of, figures, lines
from .uses import note_uses

SUFFIX = "-sweep"
VERSION = 1  # raised when the same choices give other figures
DEFAULT = (0.01, 0.05, 0.10)
FILES = ("config.yaml", "sweep.parquet", "sweep.json", "sweep.html", "choices.parquet")
LENGTH = "answer_chars"

Methods = Mapping[str, Sequence[Selector]]


@dataclass(frozen=True)
class Swept:
    """A finished sweep.

    Attributes:
        folder: where it lives.
        found: what its `sweep.json` holds.
        was_done: it stood there before, and nothing was done.
    """

    folder: RunFolder
    found: Mapping[str, Any]
    was_done: bool = False


def sweep(config: Config, reporter: Reporter, overwrite: bool = False) -> Swept:
    """Score once, choose by every method at every budget, and compare.

    Raises:
        TamisError: what stopped it; all that was computed is kept.
    """
    began = datetime.now(UTC)
    config = pin(config)
    methods, budgets = methods_of(config), budgets_of(config)
    store = open_store(config.store, config.out)
    named = config.model_copy(update={"name": config.name.removesuffix(SUFFIX) + SUFFIX})
    with before_its_folder(named, reporter):
        scored = undamaged(
            store, config, lambda: _scored(config, store, methods, budgets, reporter)
        )
    some = next(iter(scored.values()))
    left_out = sorted(
        {name for name in methods for label in budgets if (name, label) not in scored}
    )
    fingerprint = _fingerprint(named, some, methods, budgets)
    folder = claim(named, fingerprint, overwrite)
    if folder.is_done:
        return Swept(folder, json.loads(read(folder.path / "sweep.json")), was_done=True)
    try:
        note_uses(folder.work, store, some.pool, some.plan)
        folder.publish([USES])
        facts = undamaged(
            store, config, lambda: facts_of(config.labels, some.table, _lengths(store, some))
        )
        cells = list(_choose(config, scored, methods, budgets, reporter))
        found = _found(named, facts, methods, cells) | {"left_out": left_out}
        _write(folder, some, facts, cells, found)
        every = {id(one): one.reports for one in scored.values()}.values()
        reports = [report for reports in every for report in reports]
        record = manifest.make_manifest(named, some.pool, some.plan, reports, began)
        files = manifest.describe_files(folder.work, FILES)
        folder.finish(record | {"fingerprint": fingerprint, "files": files}, FILES)
    finally:
        folder.release()
    return Swept(folder, found)


def methods_of(config: Config) -> dict[str, list[Selector]]:
    """Return what is compared, by name: the config's own choice, named ones, the best of scores.

    Raises:
        PlanError: there is nothing but random choices.
    """
    by = config.sweep.by
    columns = [f"{name}.score" for name in config.scorers] if by is None else by
    found: dict[str, list[Selector]] = {OWN: list(config.selector)} if config.selector else {}
    for name, chain in config.sweep.selectors.items():
        if name in (OWN, RANDOM):
            raise PlanError(f"sweep.selectors.{name}: choose another name, this one is taken")
        selection.check_selectors(chain)
        found[name] = list(chain)
    found |= {f"top {column.removesuffix('.score')}": [TopK(by=column)] for column in columns}
    if not found:
        raise PlanError(
            "nothing to compare: the config has no selector, no scorers, no sweep.selectors"
        )
    return found


def budgets_of(config: Config) -> dict[str, BudgetConfig]:
    """Return the budgets by what they are called, such as `5%`."""
    own = [config.budget] if config.budget else []
    default = [*(BudgetConfig(fraction=share) for share in DEFAULT), *own]
    return {_label(budget): budget for budget in config.sweep.budgets or default}


def _label(budget: BudgetConfig) -> str:
    if budget.fraction is not None:
        return f"{budget.fraction * 100:g}%"
    return f"{budget.rows:,} rows" if budget.rows else f"{budget.answer_tokens:,} answer tokens"


def _scored(
    config: Config,
    store: Store,
    methods: Methods,
    budgets: Mapping[str, BudgetConfig],
    reporter: Reporter,
) -> dict[tuple[str, str], Scored]:
    """The scored pool of each method at each budget, without those that no run could make.

    It is one and the same, but where a signal works in rounds: which rows take part in the later
    ones depends on the budget.
    """
    name = pool_key(config)
    also = [selector for chain in methods.values() for selector in chain]
    costly = [b for b in budgets.values() if b.answer_tokens is not None]
    if not any(signal.n_rounds > 1 for signal in config.signals.values()):
        budget = costly[0] if costly else None
        wide = config.model_copy(update={"selector": [], "budget": budget})
        one = score_pool(wide, store, name, reporter, also=also)
        return {(method, label): one for method in methods for label in budgets}
    asking = {m: chain for m, chain in methods.items() if _asks(chain)} or {OWN: config.selector}
    found: dict[tuple[str, str], Scored] = {}
    for label, asked in budgets.items():
        for method, chain in asking.items():
            own = config.model_copy(update={"selector": list(chain), "budget": asked})
            found[method, label] = score_pool(
                own, store, name, reporter, settle="doubted", also=also
            )
            rounds = find_rounds(found[method, label].plan, chain, "doubted")
        moving = {step.name for step in rounds.scorers} if rounds else set()
        for method, chain in methods.items():
            if method not in asking and not moving & _reads(chain):
                found[method, label] = found[next(iter(asking)), label]
    return found


def _asks(chain: Sequence[Selector]) -> bool:
    return type(chain[-1]).unsettled is not Selector.unsettled


def _reads(chain: Sequence[Selector]) -> set[str]:
    return {column.partition(".")[0] for selector in chain for column in selector.reads.names}


def _choose(
    config: Config,
    scored: Mapping[tuple[str, str], Scored],
    methods: Methods,
    budgets: Mapping[str, BudgetConfig],
    reporter: Reporter,
) -> Iterator[Cell]:
    """What each method, and then each random choice, keeps at each budget."""
    for label, asked in budgets.items():
        reporter.say(f"choosing at {label}")
        here = {method: scored[method, label] for method in methods if (method, label) in scored}
        some = next(iter(here.values()))
        seeds = range(config.seed, config.seed + config.sweep.seeds)
        chances = [(RANDOM, seed, [Random(seed=seed)], some) for seed in seeds]
        chosen = [(method, None, methods[method], own) for method, own in here.items()]
        for method, seed, chain, own in [*chosen, *chances]:
            budget = selection.budget_of(asked, own.pool.n_rows, own.plan.cost)
            try:
                decisions = selection.decide(own.table, chain, budget, list(config.filters))
            except PlanError as error:
                raise PlanError(f"{method} at {label}: {error}") from error
            yield Cell(method, label, budget, seed, decisions.kept)


def _lengths(store: Store, scored: Scored) -> pa.ChunkedArray:
    """Characters of each usable row's answers."""
    length, columns = Length(), {"messages": scored.pool.address("messages")}
    tables = (length(rows, [LENGTH]) for rows in store.read_pool(scored.pool.parts, columns))
    return pa.concat_tables(list(tables))[LENGTH]


def _fingerprint(
    config: Config, scored: Scored, methods: Methods, budgets: Mapping[str, BudgetConfig]
) -> str:
    chains = {
        name: [
            {"use": use_of(s), "version": version_of(type(s)), "fields": s.identity()}
            for s in chain
        ]
        for name, chain in methods.items()
    }
    made = {
        "sweep": VERSION,
        "result": manifest.result_fingerprint(config, scored.pool, scored.plan),
        "methods": chains,
        "budgets": {name: budget.model_dump() for name, budget in budgets.items()},
        "seeds": config.sweep.seeds,
    }
    return key(canonical(made))


def _found(config: Config, facts: Facts, methods: Methods, cells: Sequence[Cell]) -> dict[str, Any]:
    """What `sweep.json` holds."""
    return {
        "name": config.name,
        "seeds": config.sweep.seeds,
        "methods": {
            name: [{"use": use_of(s), **s.model_dump(mode="json")} for s in chain]
            for name, chain in methods.items()
        },
        "pool": facts.pool(),
        "cells": lines(figures(facts, cells)),
    }


def _write(
    folder: RunFolder, scored: Scored, facts: Facts, cells: Sequence[Cell], found: Mapping[str, Any]
) -> None:
    from .report.sweep_page import sweep_page

    pq.write_table(figures(facts, cells), folder.work / "sweep.parquet", compression="zstd")
    choices = scored.table.select(["row_id", "sample_id", "source"])
    for cell in cells:
        choices = choices.append_column(cell.name, pa.array(cell.kept))
    pq.write_table(choices, folder.work / "choices.parquet", compression="zstd")
    text = json.dumps(found, ensure_ascii=False, indent=1)
    (folder.work / "sweep.json").write_text(text + "\n", "utf-8")
    (folder.work / "sweep.html").write_text(sweep_page(found), "utf-8")
