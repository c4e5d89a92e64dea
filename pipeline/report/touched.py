"""Which items of test sets rows touch, where a filter looked for them; both texts side by side."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from ...stages.filters.held_out import HeldOut
from .. import lookup
from ..finished import Finished
from .beside import Beside
from .chapter import Chapter, Finding
from .page import Cell, Column, four_figures, heading, long_text, paragraph, table

TITLE = "Test items that rows touch"
SHOWN = 100  # rows of each filter
HEAD, MOST = 160, 1_200  # characters of a text: seen at once, and there at all


def held_out_filters(run: Finished) -> dict[str, type[HeldOut]]:
    """Return the filters of a run that look for test items, by name."""
    found = dict[str, type[HeldOut]]()
    for name, block in run.manifest["config"].get("filters", {}).items():
        if block["use"] in lookup.names("filters"):
            kind = lookup.find("filters", block["use"])
            if issubclass(kind, HeldOut):
                found[name] = kind
    return found


def touched(run: Finished, beside: Beside, filters: dict[str, type[HeldOut]]) -> Chapter:
    """Return the chapter.

    Args:
        run: the run.
        beside: its rows.
        filters: from `held_out_filters`.

    Raises:
        DataError: texts are no longer in the store.
        ArtifactError: a file is damaged.
    """
    body = [
        paragraph(
            "Rows from the one that is most like an item on; those at the threshold or above are "
            f"dropped. At most {SHOWN} of each filter; all are in ledger.parquet. Texts are cut at "
            f"{MOST:,} characters.",
            quiet=True,
        )
    ]
    findings = list[Finding]()
    for name, kind in filters.items():
        rows = beside.rows.filter(pc.is_valid(beside.rows[f"{name}.item"]))
        n_dropped = int(pc.sum(pc.is_valid(rows[f"{name}.reason"])).as_py() or 0)
        items = _items(rows.filter(pc.is_valid(rows[f"{name}.reason"])), name)
        said = f"{n_dropped:,} rows hold {items:,} items of the test sets ({name})."
        findings.append(Finding("ok" if not n_dropped else "minor", said))
        order = pc.sort_indices(rows, sort_keys=[(f"{name}.{kind.measure}", "descending")])
        shown = rows.take(order[:SHOWN])
        body.append(heading(f"{name} ({len(shown):,} of {len(rows):,} rows shown)"))
        if len(shown):
            body.append(_table(run, shown.to_pylist(), name, kind.measure))
    return Chapter(TITLE, body, findings)


def _items(rows: pa.Table, name: str) -> int:
    pairs = rows.select([f"{name}.target", f"{name}.item"])
    return len(pairs.group_by(pairs.column_names).aggregate([]))


def _table(run: Finished, lines: Sequence[dict[str, Any]], name: str, measure: str) -> Markup:
    columns = [
        Column("row", "", hint="row_id, its position in the input"),
        Column("item", hint="of which test set, and its place in it, from 0"),
        Column(measure.replace("_", " "), four_figures, hint=f"{name}.{measure}"),
        Column("dropped"),
        Column("the row", is_wide=True),
        Column("the test item", is_wide=True),
    ]
    own = dict(zip(*_texts(run, sorted({line["row_id"] for line in lines}), None), strict=True))
    of_items = dict[tuple[str, int], str]()
    for target in sorted({line[f"{name}.target"] for line in lines}):
        places = sorted(
            {line[f"{name}.item"] for line in lines if line[f"{name}.target"] == target}
        )
        for place, text in zip(*_texts(run, places, target), strict=True):
            of_items[target, place] = text
    cells: list[list[Cell]] = [
        [
            line["row_id"],
            f"{line[f'{name}.target']} {line[f'{name}.item']}",
            line[f"{name}.{measure}"],
            "yes" if line[f"{name}.reason"] else "no",
            long_text(own[line["row_id"]], HEAD, MOST),
            long_text(of_items[line[f"{name}.target"], line[f"{name}.item"]], HEAD, MOST),
        ]
        for line in lines
    ]
    return table(columns, cells, search=True)


def _texts(run: Finished, rows: list[int], target: str | None) -> tuple[list[int], list[str]]:
    """Rows of the pool or of a target, and what they say."""
    of = None if target is None else run.target(target)
    messages = run.rows(rows, of=of)["messages"].to_pylist()
    return rows, ["\n\n".join(str(m["content"] or "") for m in own) for own in messages]
