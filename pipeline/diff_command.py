"""`tamis diff`: two selections beside each other, in the terminal, as JSON or as a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .logs import printable, show
from .options import AllowCode

if TYPE_CHECKING:  # these read Parquet
    from .diff import Diff, Moved
    from .drift import Mix, Spread

GROUPS = 8  # sources or clusters that are listed
SNIPPET = 70  # characters of a row


def diff(
    run: Annotated[str, typer.Argument(metavar="RUN_A", help="Folder of a finished run.")],
    other: Annotated[
        str,
        typer.Argument(
            metavar="RUN_B", help="Another, or rows chosen elsewhere: file, folder, glob, hub id."
        ),
    ],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page as well.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Rows shown of each side; else 5, in a page 25.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    allow_code: AllowCode = False,
) -> None:
    """Compare two selections: overlap, ranks, what moved and why, and how they lean."""
    import json

    from .diff import IN_PAGE, SHOWN
    from .diff import diff as compared
    from .diff_page import diff_page
    from .files import whole_file

    n = rows or SHOWN
    found = compared(run, other, allow_code, rows or (SHOWN if html is None else IN_PAGE))
    if html is not None:
        with whole_file(html) as partial:
            partial.write_text(diff_page(found), "utf-8")
    if as_json:
        typer.echo(json.dumps(found.as_json()))  # escaped: it may go to a terminal
    else:
        show(show_diff(found, n))
        if html is not None:
            typer.echo(f"page: {printable(str(html))}")


def show_diff(found: "Diff", shown: int) -> RenderableType:
    """Return a comparison for the terminal.

    Args:
        found: the comparison.
        shown: rows of each side that moved.
    """
    from .diff_words import correlations_in_words, sides_in_words

    parts: list[RenderableType] = [Text(printable("\n".join(sides_in_words(found))))]
    parts += [Text(printable(line)) for line in correlations_in_words(found)]
    known = "" if found.reading else " that B knows"
    if found.n_only_a:
        parts += [Text(), Text(f"A alone keeps {found.n_only_a:,}{known}; the surest:")]
        parts.append(_moved(found.only_a[:shown], "A", "B"))
    if found.n_only_b:
        best = "the first" if found.reading else "the surest"
        parts += [Text(), Text(f"B alone keeps {found.n_only_b:,} that A knows; {best}:")]
        parts.append(_moved(found.only_b[:shown], "B", "A"))
    if found.lengths is not None:
        parts.append(_lengths(found.lengths))
    parts += [_mix(own) for own in (found.sources, found.clusters) if own and len(own.shares) > 1]
    return Group(*parts, *(Text(printable(f"missing: {one}")) for one in found.missing))


def _moved(rows: "Sequence[Moved]", own: str, other: str) -> Table:
    from .diff_words import fate

    shown = Table(box=SIMPLE, pad_edge=False)
    shown.add_column("row", justify="right", no_wrap=True)
    apart = any(row.other_row_id not in (None, row.row_id) for row in rows)
    if apart:
        shown.add_column(f"row in {other}", justify="right", no_wrap=True)
    shown.add_column(f"rank in {own}", justify="right", no_wrap=True)
    shown.add_column(f"in {other}", overflow="fold")
    shown.add_column("text", overflow="fold")
    for row in rows:
        rank = "-" if row.rank is None else f"{row.rank:,}"
        text = "(gone)" if row.text is None else " ".join(row.text.split())
        text = text if len(text) <= SNIPPET else f"{text[:SNIPPET]} …"
        places = [str(row.row_id), *([str(row.other_row_id)] if apart else [])]
        shown.add_row(*places, rank, Text(printable(fate(row))), Text(printable(text)))
    return shown


def _lengths(spreads: "Sequence[Spread]") -> Table:
    from .drift import QUANTILES

    shown = Table(box=SIMPLE, pad_edge=False)
    for header in ("characters", "side"):
        shown.add_column(header)
    for header in ("mean", *(f"{q:.0%}" for q in QUANTILES)):
        shown.add_column(header, justify="right")
    for own in spreads:
        for side, mean, marks in zip("AB", own.mean, own.quantiles, strict=True):
            figures = [f"{value:,.0f}" for value in (mean, *marks)]
            shown.add_row(own.part if side == "A" else "", side, *figures)
    return shown


def _mix(own: "Mix") -> RenderableType:
    shown = Table(box=SIMPLE, pad_edge=False)
    shown.add_column(own.of)
    for side in "AB":
        shown.add_column(side, justify="right")
    for name, shares in list(own.shares.items())[:GROUPS]:
        shown.add_row(Text(printable(name)), *(f"{share:.1%}" for share in shares))
    more = len(own.shares) - GROUPS
    head = f"{own.of}: {own.moved:.1%} of the one would have to move to be mixed as the other"
    return Group(Text(head + (f"; the {GROUPS} that moved most" if more > 0 else "")), shown)
