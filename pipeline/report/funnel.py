"""The funnel: how many rows came in, were rejected, dropped by each step, and kept, and why."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...stages.selectors.base import OVER_BUDGET
from ..finished import Finished
from ..selection import DROPPED, numbered
from .beside import Beside
from .chapter import Chapter, Finding
from .charts import bars
from .page import Column, Level, figure, paragraph, side_by_side, table

LOST_SOME, LOST_MUCH = 0.01, 0.10  # share of the rows
REASON = 80


def funnel(run: Finished, beside: Beside) -> Chapter:
    """Return the chapter."""
    ends: Sequence[Mapping[str, Any]] = run.manifest["ends"]
    stages = _stages(run, ends)
    says = "; ".join(f"{name}: {rows:,} rows" for name, rows, _ in stages)
    n_in = run.manifest["pool"]["rows_in"]
    rows = [
        [end["outcome"], end["n"], end["n"] / n_in, _short(end["step"]), end["reason"][:REASON]]
        for end in ends
    ]
    columns = [
        Column("outcome"),
        Column("rows", ","),
        Column("share", ".1%", hint="of the rows in"),
        Column("step", hint="what decided it"),
        Column("reason"),
    ]
    body = [
        paragraph("Every row that came in is in one line of the table.", quiet=True),
        side_by_side(
            figure(bars(stages, says), "Rows that are left after each step."), table(columns, rows)
        ),
    ]
    findings = [_lost(run, beside), *_under_budget(run), *_ties(beside), *_copies(beside)]
    return Chapter("Where the rows went", body, findings)


def _stages(run: Finished, ends: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, str]]:
    """Rows that are left after each step, in the order of the steps."""
    lost: Counter[str] = Counter()
    for end in ends:
        if end["outcome"] == DROPPED:
            lost[end["step"]] += end["n"]
    pool = run.manifest["pool"]
    left = pool["rows_usable"]
    stages = [("in", pool["rows_in"], "shade"), ("readable", left, "shade")]
    for step in _in_order(run, list(lost)):
        left -= lost[step]
        stages.append((f"after {_short(step)}", left, "shade"))
    name, rows, _ = stages.pop()
    return [*stages, (f"{name}: kept" if len(stages) > 1 else "kept", rows, "kept")]


def selector_steps(run: Finished) -> list[str]:
    """Return what the ledger calls each selector: its file, numbered where it comes again."""
    return numbered([block["use"] for block in run.manifest["config"]["selector"]])


def _in_order(run: Finished, steps: Sequence[str]) -> list[str]:
    """Steps that dropped rows, as they came: a scorer stands before what reads it."""
    order = list(run.manifest["config"].get("filters", {}))
    for step, block in zip(selector_steps(run), run.manifest["config"]["selector"], strict=True):
        reads = {str(value).partition(".")[0] for value in block.values()}
        order += [name for name in steps if name in reads and name in run.scorers]
        order.append(step)
    found = [step for step in dict.fromkeys(order) if step in steps]
    return found + [step for step in steps if step not in found]


def _lost(run: Finished, beside: Beside) -> Finding:
    """Rows that neither a filter nor a selector judged: a selector gives every row a rank."""
    n_in = run.manifest["pool"]["rows_in"]
    filters = pa.array(list(run.manifest["config"].get("filters", {})), pa.string())
    judged = pc.or_(pc.is_valid(beside.rows["rank"]), pc.is_in(beside.rows["step"], filters))
    rejected, unscored = n_in - len(beside.rows), len(judged) - pc.sum(judged).as_py()
    share = (rejected + unscored) / n_in
    level: Level = "ok" if share < LOST_SOME else "minor" if share < LOST_MUCH else "major"
    if not share:
        return Finding(level, f"All {n_in:,} rows could be read and were judged.")
    return Finding(
        level,
        f"{rejected + unscored:,} of the {n_in:,} rows ({share:.1%}) were never judged: "
        f"{rejected:,} could not be read, {unscored:,} got no score.",
    )


def _under_budget(run: Finished) -> list[Finding]:
    budget, kept = run.manifest["budget"], run.manifest["rows_kept"]
    if not run.manifest["config"]["selector"]:  # filters alone fill none
        return []
    if budget["cost"] is not None or kept >= budget["limit"]:
        return []
    return [Finding("minor", f"Only {kept:,} rows were kept; the budget was {budget['limit']:,}.")]


def _ties(beside: Beside) -> list[Finding]:
    """Rows that stand exactly at the cut, where nothing but their ids decides."""
    margin = beside.numbers("margin")
    last = set(beside.rows.filter(beside.kept)["step"].to_pylist())
    same_step = np.asarray(pc.is_in(beside.rows["step"], pa.array(sorted(last), pa.string())))
    over = np.asarray(pc.equal(pc.fill_null(beside.rows["reason"], ""), OVER_BUDGET))
    at_cut = same_step & (margin == 0) & (beside.kept | over)
    kept, dropped = int((at_cut & beside.kept).sum()), int((at_cut & ~beside.kept).sum())
    if not dropped:
        return []
    share = min(kept, dropped) / beside.n_kept
    level: Level = "ok" if share < LOST_SOME else "minor" if share < LOST_MUCH else "major"
    return [
        Finding(
            level,
            f"The cut runs through rows with the same score: {kept:,} of them are kept and "
            f"{dropped:,} are not, decided by a hash of their content.",
        )
    ]


def _copies(beside: Beside) -> list[Finding]:
    """Kept rows whose content is that of another kept row."""
    ids = beside.rows.filter(beside.kept)["sample_id"]
    n_copies = len(ids) - pc.count_distinct(ids).as_py()
    if not n_copies:
        return [Finding("ok", "No kept row is an exact copy of another.")]
    share = n_copies / len(ids)
    level: Level = "minor" if share < LOST_MUCH else "major"
    text = f"{n_copies:,} kept rows ({share:.1%}) are exact copies of other kept rows."
    if n_copies == 1:
        text = f"1 kept row ({share:.1%}) is an exact copy of another kept row."
    return [Finding(level, text)]


def _short(step: str) -> str:
    """A step that is a file of the user's by the file's name alone."""
    return step.rpartition("/")[2]
