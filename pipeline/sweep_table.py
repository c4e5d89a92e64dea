"""What a person reads on the terminal at the end of a sweep."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..stages.locations import Location
from .logs import printable
from .sweep_figures import RANDOM

NONE = "\N{EN DASH}"
FAULT = "fault."
LEFT_OUT = (
    "left out: {}: their scores change with the rounds of a signal, and are settled for another "
    "choice only; in one round of all rows (--set signals.<name>.rounds=[]) they can be compared"
)


def sweep_table(folder: Location, found: Mapping[str, Any], was_done: bool) -> RenderableType:
    """Return a table of methods for each budget, and where the rest lies."""
    pool, seeds = found["pool"], found["seeds"]
    head = (
        f"{'already done' if was_done else 'done'}: {pool['rows']:,} usable rows; random: mean of "
        f"{seeds} seeds, and the range of its overlap\n"
        f"page:    {folder / 'sweep.html'}\n"
        f"figures: {folder / 'sweep.parquet'}\n"
        f"rows:    {folder / 'choices.parquet'}"
    )
    parts: list[RenderableType] = [Text(printable(head))]
    for label in dict.fromkeys(cell["budget"] for cell in found["cells"]):
        cells = [cell for cell in found["cells"] if cell["budget"] == label]
        parts += [Text(f"\nbudget {label}"), _figures(pool, cells)]
        if any(name.startswith(FAULT) for name in pool):
            parts += [Text("share of faulty rows"), _faults(pool, cells)]
    if found["left_out"]:
        parts.append(Text(printable(LEFT_OUT.format(", ".join(found["left_out"])))))
    return Group(*parts)


def _figures(pool: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> Table:
    shown = _table("rows", "of random's", "of the selection", "answer, chars", "x pool", "sources")
    length = f"{pool['length.mean']:,.0f}"
    shown.add_row("pool", f"{pool['rows']:,}", NONE, NONE, length, "1.00", "0.0%")
    for cell in cells:
        common = share(cell["overlap.random"])
        if cell["method"] == RANDOM and cell["overlap.random"] is not None:
            common = f"{cell['overlap.random']['low']:.1%} to {cell['overlap.random']['high']:.1%}"
        shown.add_row(
            Text(printable(cell["method"])),
            f"{middle(cell['kept']):,.0f}",
            common,
            share(cell["overlap.selection"]),
            f"{middle(cell['length.mean']):,.0f}",
            f"{middle(cell['length.ratio']):.2f}",
            share(cell["sources.distance"]),
        )
    return shown


def _faults(pool: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> Table:
    kinds = [name for name in pool if name.startswith(FAULT)]
    shown = _table(*(kind.removeprefix(FAULT).replace("_", " ") for kind in kinds))
    for name, line in [("pool", pool), *((cell["method"], cell) for cell in cells)]:
        shown.add_row(Text(printable(name)), *(share(line[kind]) for kind in kinds))
    return shown


def _table(*numbers: str) -> Table:
    shown = Table(box=SIMPLE, pad_edge=False)
    shown.add_column("choice", no_wrap=True)
    for name in numbers:
        shown.add_column(Text(printable(name)), justify="right", overflow="fold")
    return shown


def middle(figure: float | Mapping[str, float]) -> float:
    """Return a figure, or the mean of one over seeds."""
    return figure["mean"] if isinstance(figure, Mapping) else figure


def share(figure: float | Mapping[str, float] | None) -> str:
    """Return a share in per cent, or a dash where there is none."""
    return NONE if figure is None else f"{middle(figure):.1%}"
