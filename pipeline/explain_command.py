"""`tamis explain`: one screen about one row of a run."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..errors import ConfigError, DataError
from .logs import printable, show
from .options import AllowCode

if TYPE_CHECKING:  # these read Parquet
    from .explain import Example, Explanation, Judged, Score
    from .finished import Finished
    from .row_search import Match

MATCHES = 20  # rows that are listed
MESSAGE, SNIPPET = 400, 160  # characters shown of a message, and of another row
TURNS = 6  # messages shown
LABEL = 12  # characters of the longest label
STYLES = {"kept": "green", "dropped": "yellow", "rejected": "red"}


def explain(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    row: Annotated[
        str | None, typer.Argument(metavar="[ROW]", help="row_id, or the start of a sample_id.")
    ] = None,
    find: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The row that says this; several: a list.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="FILE:LINE", help="The row there; NAME:N of an entry of `data`."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    allow_code: AllowCode = False,
) -> None:
    """Show what a run decided about a row, why, and by how much."""
    import json

    from .explain import explain as explained
    from .finished import open_run

    found = open_run(run, allow_code)
    which = _which(found, row, find, at)
    if not isinstance(which, int):
        if as_json:
            typer.echo(json.dumps([vars(match) for match in which]))
        else:
            show(show_matches(which, run, find or ""))
        return
    facts = explained(found, which)
    if as_json:
        typer.echo(json.dumps(facts.as_json()))  # escaped: it may go to a terminal
    else:
        show(show_explanation(facts))


def _which(
    run: "Finished", row: str | None, find: str | None, at: str | None
) -> "int | list[Match]":
    """The row that is meant, or several that hold a text."""
    from .row_search import find_place, find_row, find_text

    if sum(given is not None for given in (row, find, at)) != 1:
        raise ConfigError("name one row: ROW (row_id or sample_id), --find TEXT or --at FILE:LINE")
    if row is not None:
        return find_row(run, row)
    if at is not None:
        return find_place(run, at)
    matches = find_text(run, find or "", MATCHES + 1)
    if not matches:
        raise DataError(f"no row of this run says {find!r}")
    return matches[0].row_id if len(matches) == 1 else matches


def show_matches(matches: "Sequence[Match]", run: str, text: str) -> RenderableType:
    """Return the rows that hold a text, and how to have one of them explained."""
    shown = Table(box=SIMPLE, pad_edge=False)
    shown.add_column("row", justify="right")
    shown.add_column("outcome")
    shown.add_column("text", overflow="fold")
    for match in matches[:MATCHES]:
        outcome = Text(match.outcome, STYLES[match.outcome])
        shown.add_row(str(match.row_id), outcome, Text(printable(match.text)))
    n = f"{len(matches)} rows" if len(matches) <= MATCHES else f"the first {MATCHES} rows"
    head = f"{n} that say {text!r}; name one: tamis explain {run} {matches[0].row_id}"
    return Group(Text(printable(head)), shown)


def show_explanation(found: "Explanation") -> RenderableType:
    """Return a row's explanation as one screen."""
    head = Text(f"row {found.row_id} of {found.run}: ")
    head.append(printable(found.verdict.what), STYLES[found.outcome])
    scores = _scores(found.scores) if found.scores else Text()
    filters = [_filters(found.filters)] if found.filters else []
    return Group(
        *(head, Text(), _labelled(_lines(found)), scores, *filters), _labelled(_texts(found))
    )


def _labelled(rows: Sequence[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold", min_width=LABEL)
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(label, Text(printable(text)))
    return grid


def _lines(found: "Explanation") -> list[tuple[str, str]]:
    decided = found.verdict
    rows = [("why", decided.why)]
    if decided.place:
        rows.append(("place", decided.place))
    rows.append(("budget", decided.budget))
    for own in decided.passed:
        rows.append(
            ("before", f"{own.step} let {own.kept:,} of {own.reached:,} rows pass, with it")
        )
    where = f"source {found.source}"
    if found.sample_id:
        where += f", sample_id {found.sample_id}"
    if found.rejected:
        where += f", {found.rejected['file']}, line {found.rejected['line']}"
    rows.append(("where", where))
    if found.twins:
        others = [f"row {twin.row_id} {twin.outcome}" for twin in found.twins]
        rows.append(("same content", _some(others)))
    return rows


def _scores(scores: "Sequence[Score]") -> Table:
    shown = Table(box=SIMPLE, pad_edge=False)
    for header, justify in (("score", "left"), ("value", "right"), ("above", "right")):
        shown.add_column(header, justify=justify)  # type: ignore[arg-type]
    shown.add_column("status")
    shown.add_column("beside it", overflow="fold")
    for own in scores:
        value = "-" if own.score is None else _plain(own.score)
        above = "-" if own.percentile is None else f"{own.percentile:.1%} of rows"
        details = Text(printable(_details(own.details)))
        shown.add_row(Text(own.scorer), value, above, Text(own.status or "-"), details)
    return shown


def _filters(judged: "Sequence[Judged]") -> Table:
    shown = Table(box=SIMPLE, pad_edge=False)
    shown.add_column("filter")
    shown.add_column("says", overflow="fold")
    shown.add_column("beside it", overflow="fold")
    for own in judged:
        said = Text(printable(own.reason or "passes"))
        shown.add_row(Text(own.filter), said, Text(printable(_details(own.details))))
    return shown


def _details(details: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_plain(v)}" for name, v in details.items() if v is not None)


def _texts(found: "Explanation") -> list[tuple[str, str]]:
    rows = [(m["role"], _cut(_said(m), MESSAGE)) for m in (found.messages or ())[:TURNS]]
    if found.messages and len(found.messages) > TURNS:
        rows.append(("", f"… and {len(found.messages) - TURNS} messages more"))
    if found.rejected:
        rows.append(("text", _cut(found.rejected["raw"], MESSAGE)))
    if near := found.neighbour:
        rank = "" if near.rank is None else f" (rank {near.rank:,})"
        head = f"row {near.row_id}{rank}, cosine {near.cosine:.3f} by {near.by}"
        rows.append(("nearest kept", f"{head}: {_short(near.text)}"))
    rows += [("example", _example(one)) for one in found.examples]
    return rows + [("missing", one) for one in found.missing]


def _example(one: "Example") -> str:
    place = "" if one.query is None else f"[{one.query}]"
    subtask = f", {one.subtask}" if one.subtask else ""
    head = f"{one.target}{place}{subtask}: {one.why}"
    if one.messages is None:
        return head
    return f"{head}: {_short(' → '.join(_said(message) for message in one.messages))}"


def _said(message: Mapping[str, Any]) -> str:
    return str(message["content"] or message.get("tool_calls", ""))


def _cut(text: str, most: int) -> str:
    text = text.strip()
    return text if len(text) <= most else f"{text[:most].rstrip()} … ({len(text):,} characters)"


def _short(text: str | None) -> str:
    return "(its text is gone)" if text is None else _cut(" ".join(text.split()), SNIPPET)


def _some(texts: Sequence[str], most: int = 8) -> str:
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def _plain(value: object) -> str:
    from .verdict import shown

    return shown(value) if isinstance(value, float) else str(value)
