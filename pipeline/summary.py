"""What a person reads at the end of a run, and of a plan."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..stages.locations import Location
from ..stages.remote import is_file
from .agreement import Agreement
from .folder import REPORT
from .forecast_table import compared
from .logs import printable
from .other_form import OtherForm
from .plan import Plan, Step
from .pool import Pool
from .status import Status
from .store import Store
from .token_view import TokenView
from .warmups import WarmedUp

FOUND = "faults found by each filter alone"
COUNTS = 0.5  # a token is shown as counted if it was in so many of the copies


def summarise(folder: Location, manifest: Mapping[str, Any], was_done: bool) -> RenderableType:
    """Return where the curated dataset lies, and what was kept and dropped, and why."""
    pool, kept = manifest["pool"], manifest["rows_kept"]
    verb = "already done" if was_done else f"done in {manifest['seconds']:.1f} s"
    lines = [
        f"{verb}: {pool['rows_in']:,} rows in, {kept:,} kept",
        f"curated dataset: {folder / 'curated'}",
        f"why each row:    {folder / 'ledger.parquet'}",
    ]
    if is_file(folder / REPORT):
        lines.append(f"to look at:      {folder / REPORT}")
    if rounds := manifest.get("rounds"):
        share = rounds["took"] / rounds["of"]
        lines.append(
            f"in rounds:       {rounds['took']:,} of {rounds['of']:,} copies ({share:.1%})"
        )
    limit, cost = manifest["budget"]["limit"], manifest["budget"]["cost"]
    if cost is None and kept < limit and manifest["config"]["selector"]:
        lines.append(
            f"under budget:    {kept:,} of {limit:,} rows; below is where the others ended"
        )
    lines += [printable(line) for line in manifest.get("said", [])]
    if foretold := manifest.get("forecast"):
        lines.append(compared(foretold))
    if pool["rejected"]:
        lines.append(f"rejected rows:   {folder / 'rejected.parquet'}")
    parts: list[RenderableType] = [Text("\n".join(lines)), _ends(manifest["ends"])]
    if "faults" in manifest:
        parts += [Text("planted faults, share of the rows (top: by that score, same budget)")]
        parts += [_faults(manifest["faults"])]
        if manifest["faults"].get("found"):
            parts += [Text(FOUND), _found(manifest["faults"])]
    return Group(*parts)


def summarise_scores(path: Location, table: pa.Table, scorers: Sequence[str]) -> RenderableType:
    """Return where the scores lie, and how they are distributed."""
    shown = _table("score", ">rows", ">mean", ">5 %", ">50 %", ">95 %", "without")
    for name in scorers:
        values = table[f"{name}.score"].to_numpy()
        values = values[np.isfinite(values)].astype(np.float64)
        marks = np.percentile(values, [5, 50, 95]) if len(values) else [np.nan] * 3
        figures = [f"{v:.4g}" for v in (values.mean() if len(values) else np.nan, *marks)]
        counted = table[f"{name}.status"].value_counts().to_pylist()
        without = {row["values"]: row["counts"] for row in counted if row["values"] != "ok"}
        shown.add_row(
            Text(name),
            f"{len(values):,}",
            *figures,
            Text(", ".join(f"{n:,} {status}" for status, n in sorted(without.items()))),
        )
    return Group(Text(f"scores of {len(table):,} rows: {path}"), shown)


def summarise_agreement(found: Agreement) -> RenderableType:
    """Return how far a selection in rounds is that of all rounds, and what it saved."""
    share, work = found.same / found.kept, found.took / found.of
    return Text(
        f"{found.same:,} of {found.kept:,} rows are those of the exhaustive selection "
        f"({share:.1%}), with {found.took:,} of {found.of:,} copies ({work:.1%})"
    )


def summarise_warmups(found: Sequence[WarmedUp]) -> RenderableType:
    """Return the checkpoints of each warm-up: losses, learning rates, and where they lie.

    The last line is what a config names to take them as they are.
    """
    shown: list[RenderableType] = []
    for one in found:
        table = _table("epoch", ">steps", ">rows", ">mean learning rate", ">loss (nats)")
        for facts in one.checkpoints:
            rate, loss = f"{facts['mean_learning_rate']:.3e}", f"{facts['loss']:.4f}"
            table.add_row(str(facts["epoch"]), str(facts["steps"]), str(facts["rows"]), rate, loss)
        paths = [str(one.folder / f"checkpoint-{facts['epoch']}") for facts in one.checkpoints]
        named = Text(printable(f"adapters: {json.dumps(paths, ensure_ascii=False)}"))
        shown += [Text(printable(f"{one.signal}: {one.folder}")), table, named]
    return Group(*shown)


def summarise_form(found: OtherForm) -> RenderableType:
    """Return where the rows lie in another form, and what the form did not hold."""
    lines = [f"{found.n_rows:,} rows: {found.path}"]
    lines += [f"left out: {len(ids):,} rows: {why}" for why, ids in found.left_out.items()]
    lines += [f"in {n:,} rows {what}" for what, n in found.notes.items()]
    if found.left_out:
        lines.append(f"which ones: {found.path.parent / 'export.json'}")
    return Text("\n".join(lines))


def show_status(found: Status) -> RenderableType:
    """Return how far a run is: its step, speed, workers, and what went wrong."""
    facts = found.facts
    lines = [found.state]
    if facts:
        lines[0] += f", process {facts['process']} on {facts['host']}"
    if found.state == "lost" and not facts:
        lines[0] += ": it has said nothing yet; start it again to go on"
    elif found.state == "lost":
        lines[0] += f": nothing heard for {found.silent_s:,.0f} s; start it again to go on"
    if step := facts.get("step"):
        rows = f"{step['rows_done']:,} rows"
        if step["rows"] is not None:
            rows = f"{step['rows_done']:,} of {step['rows']:,} rows of this start"
        if "parts" in step:
            rows = f"{step['parts_done']:,} of {step['parts']:,} parts, {rows}"
        lines.append(f"{step['name']}: {rows}, {found.rows_per_s:,.1f} rows/s")
        if found.seconds_left is not None:
            lines[-1] += f", {found.seconds_left:,.0f} s left"
    if done := facts.get("steps_done"):
        lines.append(f"done before: {', '.join(done)}")
    lines += [f"  {one}" for one in facts.get("workers", [])]
    lines += [f"failed: {one}" for one in facts.get("failures", [])]
    return Text(printable("\n".join(lines)))


def show_tokens(view: TokenView) -> RenderableType:
    """Return an answer in the colours of its tokens, and the numbers of each.

    Green: the instruction helps; red: it misleads; without colour: the token did not count.
    """
    score = "no score" if view.score is None else f"{view.scorer} {view.score:.4f}"
    head = (
        f"row {view.row_id}, {view.outcome}: {score} ({view.status}), {view.copies} copies, "
        f"tokens with |delta| above {view.threshold:.4f} nats count"
    )
    answer = Text()
    numbers = _table("token", ">delta", ">counted")
    for token in view.tokens:
        counts = token.counted >= COUNTS
        style = ("green" if token.delta > 0 else "red") if counts else "dim"
        answer.append(printable(token.text), style)
        spelled = Text(repr(printable(token.text)), style)
        numbers.add_row(spelled, f"{token.delta:+.4f}", f"{token.counted:.0%}")
    return Group(Text(head), Text(), answer, Text(), numbers)


def describe_plan(
    plan: Plan, pool: Pool, store: Store, warmups: Mapping[str, str] | None = None
) -> RenderableType:
    """Return the steps of a plan, their columns, and what is computed already.

    A pool or target without parts is one that is not read yet.

    Args:
        plan: of the config.
        pool: that it works on.
        store: what is there already.
        warmups: what is known of the warm-up of each signal.
    """
    shown = _table("step", "runs", "columns", ">parts done", "key")
    read = [_read("pool", pool)]
    for target in plan.targets:
        read.append(_read(f"target {target.name}", target.pool))
        _add_steps(shown, target.steps, target.pool, store, f" of {target.name}")
    _add_steps(shown, plan.steps, pool, store)
    read += [f"warm-up of {name}: {said}" for name, said in (warmups or {}).items()]
    return Group(Text("\n".join(read)), shown)


def _add_steps(shown: Table, steps: Sequence[Step], pool: Pool, store: Store, of: str = "") -> None:
    for step in steps:
        missing = store.missing(step.folder, step.wanted, pool.parts, step.whole)
        names = {part.name(step.whole) for part in missing}
        n_done = sum(part.name(step.whole) not in names for part in pool.parts)
        done = f"{n_done}/{len(pool.parts)}" if pool.parts else "0"
        name = step.name + of + "".join(f" -> {target}" for target in step.aims)
        if later := step.stage.n_rounds - 1:
            name += f" (and {later} more rounds)"
        shown.add_row(Text(name), step.use, Text(", ".join(step.wanted)), done, step.key)


def _read(what: str, pool: Pool) -> str:
    if not pool.parts:
        return f"{what} {pool.key}: not read yet"
    n, rejected = pool.n_input, pool.n_rejected
    return f"{what} {pool.key}: {n:,} rows in, {rejected:,} rejected, {len(pool.parts)} parts"


def _ends(ends: Sequence[Mapping[str, Any]]) -> Table:
    shown = _table("outcome", "step", "reason", ">rows")
    for end in ends:
        shown.add_row(
            end["outcome"], Text(end["step"]), Text(printable(end["reason"])), f"{end['n']:,}"
        )
    return shown


def _faults(faults: Mapping[str, Any]) -> Table:
    kinds = [printable(kind).replace("_", " ") for kind in faults["kinds"]]
    shown = _table("choice", ">rows", *(f">{kind}" for kind in (*kinds, "any")))
    shown.columns[0].no_wrap = True
    for choice, shares in faults["shares"].items():
        figures = [f"{share:.1%}" for share in shares]
        shown.add_row(Text(choice), f"{faults['rows'][choice]:,}", *figures)
    return shown


def _found(faults: Mapping[str, Any]) -> Table:
    """Of each filter the kinds that it finds, and last what it takes along."""
    shown = _table("filter", "what it finds", ">rows", ">recall", ">precision")
    for name, found in faults["found"].items():
        shares = zip(faults["kinds"], found["recall"], found["precision"], strict=False)
        own = [(kind, recall, precision) for kind, recall, precision in shares if recall]
        own.append(("any fault", found["recall"][-1], found["precision"][-1]))
        for place, (kind, recall, precision) in enumerate(own):
            rows = round(precision * found["rows"])
            said = Text(printable(kind).replace("_", " "))
            shown.add_row(
                Text("" if place else name), said, f"{rows:,}", f"{recall:.1%}", f"{precision:.1%}"
            )
        wrong = 1 - found["precision"][-1] if found["rows"] else 0.0
        rows = round(wrong * found["rows"])
        shown.add_row("", "no fault", f"{rows:,}", f"{found['harmed']:.2%}", f"{wrong:.1%}")
    return shown


def _table(*headers: str) -> Table:
    """A plain table; a header that starts with `>` is of numbers."""
    table = Table(box=SIMPLE, pad_edge=False)
    for header in headers:
        numbers = header.startswith(">")
        table.add_column(
            Text(header.lstrip(">")), justify="right" if numbers else "left", overflow="fold"
        )
    return table
