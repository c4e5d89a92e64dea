"""`tamis store list` and `tamis store prune`: what a store holds, and what no run needs of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .logs import printable, show
from .store import open_store
from .upkeep import Entry, drop, look, uses_in

commands = typer.Typer(help="What a store holds, who uses it, what may go.", no_args_is_help=True)

At = Annotated[str, typer.Option("--store", help="Folder or address of the computed columns.")]
Outs = Annotated[
    list[str] | None,
    typer.Option(
        "--out", help="Folder or address of runs (several: name each); others do not count."
    ),
]
UNITS = ("B", "kB", "MB", "GB", "TB")


@commands.command("list")
def list_store(store: At = "store", out: Outs = None) -> None:
    """List the folders of a store: files, size, what no run needs, and the runs that use them."""
    show(listing(_look(store, out)))


@commands.command()
def prune(
    store: At = "store",
    out: Outs = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it, only say what.")] = False,
) -> None:
    """Delete what no run needs: steps, parts and rows of no run, and what broken writes left."""
    entries = _look(store, out)
    idle = [entry for entry in entries if entry.idle]
    n, size = sum(len(entry.idle) for entry in idle), sum(entry.idle_size for entry in idle)
    if not n:
        typer.echo("nothing to delete: every file is needed, or younger than an hour")
        return
    show(listing(idle))
    if yes:
        drop(idle)
        typer.echo(f"deleted {n:,} files, {in_units(size)}")
    else:
        typer.echo(f"{n:,} files, {in_units(size)}, would be deleted; add --yes to do it")


def listing(entries: Sequence[Entry]) -> RenderableType:
    """Return a table of the folders of a store."""
    shown = Table(box=SIMPLE)
    for name in ("folder", "files", "size", "not needed", "runs"):
        shown.add_column(name, justify="left" if name in ("folder", "runs") else "right")
    for entry in entries:
        idle = f"{len(entry.idle):,} ({in_units(entry.idle_size)})" if entry.idle else ""
        runs = ", ".join(Path(run).name for run in entry.runs)
        cells = (entry.folder.name, f"{entry.n_files:,}", in_units(entry.size), idle, runs)
        shown.add_row(*(Text(printable(cell)) for cell in cells))
    total = Text(f"{len(entries):,} folders, {in_units(sum(entry.size for entry in entries))}")
    return Group(shown, total)


def in_units(size: float) -> str:
    """Return bytes in the unit that fits."""
    for unit in UNITS[:-1]:
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} {UNITS[-1]}"


def _look(store: str, out: Sequence[str] | None) -> list[Entry]:
    found = open_store(store)
    return look(found, uses_in(found, out or ["runs"]))
