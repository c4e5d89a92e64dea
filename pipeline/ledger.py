"""The ledger: one line per input row, saying what happened to it and why."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .selection import DROPPED, KEPT, REJECTED, Decisions, percentile

HEAD = pa.schema(
    [
        ("row_id", pa.int64()),
        ("sample_id", pa.string()),
        ("source", pa.string()),
        ("outcome", pa.string()),  # kept, dropped, rejected
        ("step", pa.string()),  # ingest, a filter, a scorer without a number, or a selector
        ("reason", pa.string()),  # of a kept row what pulled it in, where the selector says so
        ("rank", pa.int64()),  # place in the order of that selector, from 1
        ("margin", pa.float32()),  # distance to its cut, null where it has none
    ]
)


@dataclass(frozen=True)
class Named:
    """Whose columns a ledger has beside the decision, in their order: names of the config."""

    scorers: Sequence[str] = ()
    filters: Sequence[str] = ()


def make_ledger(pool: pa.Table, decisions: Decisions, named: Named, rejected: pa.Table) -> pa.Table:
    """Return the ledger of a run, ordered by row_id.

    Args:
        pool: row_id, sample_id, source, and what scorers and filters say, one row per usable row.
        decisions: what happened to each.
        named: the scorers and filters.
        rejected: row_id, source and reason of what was rejected at ingest.
    """
    outcome = np.where(decisions.kept, KEPT, DROPPED).astype(object)
    ranked = decisions.rank > 0
    columns = {
        **{name: pool[name] for name in ("row_id", "sample_id", "source")},
        "outcome": pa.array(outcome, pa.string()),
        "step": pa.array(decisions.step, pa.string()),
        "reason": pa.array(
            decisions.reason, pa.string(), mask=decisions.kept & (decisions.reason == "")
        ),
        "rank": pa.array(decisions.rank, mask=~ranked),
        "margin": pa.array(
            decisions.margin.astype(np.float32), mask=~ranked | np.isnan(decisions.margin)
        ),
    }
    usable = pa.table(columns, schema=HEAD)
    for name in named.scorers:
        usable = with_scorer(usable, pool, name)
    for name in named.filters:
        usable = _with_own(
            usable.append_column(f"{name}.reason", pool[f"{name}.reason"]), pool, name
        )
    n = len(rejected)
    bad = {name: pa.nulls(n, usable.schema.field(name).type) for name in usable.column_names}
    bad |= {name: rejected[name] for name in ("row_id", "source", "reason")}
    bad |= {"outcome": pa.array([REJECTED] * n, pa.string())}
    bad |= {"step": pa.array(["ingest"] * n, pa.string())}
    whole = pa.concat_tables([usable, pa.table(bad, schema=usable.schema)])
    return whole.take(pc.sort_indices(whole, sort_keys=[("row_id", "ascending")])).combine_chunks()


def counts(ledger: pa.Table) -> list[dict[str, object]]:
    """Return how many rows met each end: outcome, step, kind of reason, and n."""
    ends: Counter[tuple[str, str, str]] = Counter()
    grouped = ledger.group_by(["outcome", "step", "reason"]).aggregate([([], "count_all")])
    for row in grouped.to_pylist():
        kind = (row["reason"] or "").partition(":")[0]
        ends[row["outcome"], row["step"], kind] += row["count_all"]
    order = [REJECTED, DROPPED, KEPT]
    ranked = sorted(ends.items(), key=lambda end: (order.index(end[0][0]), -end[1], end[0]))
    return [
        {"outcome": outcome, "step": step, "reason": kind, "n": n}
        for (outcome, step, kind), n in ranked
    ]


def with_scorer(ledger: pa.Table, pool: pa.Table, name: str) -> pa.Table:
    """Return a ledger with what one scorer says of the pool added.

    That is score, percentile and status, and those of its details that the pool has, but for
    lists.
    """
    scores = pool[f"{name}.score"]
    values = np.asarray(scores.to_numpy(), dtype=np.float64)
    share = percentile(values).astype(np.float32)
    ledger = ledger.append_column(f"{name}.score", scores)
    placed = pa.array(share, pa.float32(), from_pandas=True)
    ledger = ledger.append_column(f"{name}.percentile", placed)
    return _with_own(ledger.append_column(f"{name}.status", pool[f"{name}.status"]), pool, name)


def _with_own(ledger: pa.Table, pool: pa.Table, name: str) -> pa.Table:
    """The ledger with the other columns that a block made, but for lists."""
    for column in pool.column_names:
        own = column.startswith(f"{name}.") and column not in ledger.column_names
        if own and not pa.types.is_list(pool[column].type):
            ledger = ledger.append_column(column, pool[column])
    return ledger
