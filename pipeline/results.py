"""What a run leaves: the ledger, the rejected rows and the curated dataset."""

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..stages.export import Curated, curated_schema, own_names, shape_rows, write_curated
from . import ledger, selection
from .card import make_card
from .compute import StepReport
from .config import Config
from .faults import fault_table
from .fingerprint import key
from .folder import CURATED, RunFolder
from .plan import Plan
from .pool import Pool, rejected_rows
from .queries import with_names
from .store import Store


@dataclass(frozen=True)
class Scored:
    """A pool with every planned column computed.

    Attributes:
        pool, plan: of the run.
        reports: what each step did.
        table: one line per usable row: ids, source, scores, and what selectors and labels read.
        spent: where a signal works in rounds: units of its work (such as noisy copies) that rows
            took, and those of all rows in all rounds.
    """

    pool: Pool
    plan: Plan
    reports: list[StepReport]
    table: pa.Table
    spent: tuple[int, int] | None = None


def leave(config: Config, store: Store, scored: Scored, folder: RunFolder) -> dict[str, Any]:
    """Write ledger, rejected rows and curated dataset; return what the manifest says of them."""
    shutil.rmtree(folder.work / CURATED, ignore_errors=True)  # of an attempt that broke off
    budget = selection.budget_of(config.budget, scored.pool.n_rows, scored.plan.cost)
    filters = list(config.filters)
    decisions = selection.decide(scored.table, config.selector, budget, filters)
    decisions = with_names(decisions, config, scored.plan, store)
    rejected = rejected_rows(store, config, scored.pool)
    named = ledger.Named(list(config.scorers), filters)
    table = ledger.make_ledger(scored.table, decisions, named, rejected)
    pq.write_table(table, folder.work / "ledger.parquet", compression="zstd")
    pq.write_table(rejected, folder.work / "rejected.parquet", compression="zstd")
    ends = ledger.counts(table)
    n_kept = int(decisions.kept.sum())
    made = _export(config, store, scored, table, folder)
    card = make_card(config, scored.plan, table, ends, made)
    partial = folder.work / CURATED
    (partial / "README.md").write_text(card, "utf-8")
    partial.rename(folder.work / "curated")
    found: dict[str, Any] = {"rows_kept": n_kept, "budget": asdict(budget), "ends": ends}
    if decisions.said:
        found["said"] = decisions.said
    if scored.spent is not None:
        found["rounds"] = dict(zip(("took", "of"), scored.spent, strict=True))
    if config.labels:
        scorers, seed = list(config.scorers), config.seed
        faults = fault_table(scored.table, config.labels, decisions, scorers, budget, seed, filters)
        found["faults"] = asdict(faults)
    return found


def _export(
    config: Config, store: Store, scored: Scored, table: pa.Table, folder: RunFolder
) -> Curated:
    kept = table.filter(pc.equal(table["outcome"], selection.KEPT))
    scores = [f"{name}.score" for name in config.scorers]
    schema = curated_schema(scores, scored.pool.columns, scored.pool.extras)
    content = "\n".join(kept["sample_id"].to_pylist())
    return write_curated(
        folder.work / CURATED,
        _kept_rows(store, scored.pool, kept, (schema, scores)),
        schema,
        len(kept),
        key(content),
    )


def _kept_rows(
    store: Store, pool: Pool, kept: pa.Table, shape: tuple[pa.Schema, list[str]]
) -> Iterator[pa.Table]:
    """Rows of the pool that are kept, part by part, in the shape of the export."""
    schema, scores = shape
    ids = kept["row_id"].to_numpy()
    bounds = [int(ids.searchsorted(part.first)) for part in pool.parts] + [len(ids)]
    spans = {part: span for part, span in zip(pool.parts, pairwise(bounds), strict=True)}
    some = [part for part, (start, end) in spans.items() if end > start]
    names = ("row_id", "sample_id", "source", "messages", "tools")
    columns = {name: pool.address(name) for name in names}
    columns |= {own: pool.address(full) for full, own in own_names(scores, pool.columns).items()}
    for part, rows in zip(some, store.read_pool(some, columns), strict=True):
        start, end = spans[part]
        own = kept.slice(start, end - start)
        rows = rows.filter(pc.is_in(rows["row_id"], own["row_id"].combine_chunks()))
        for name in ("rank", *scores):
            rows = rows.append_column(name, own[name])
        yield shape_rows(rows, schema)
