"""A forecast as a person reads it, and how far off one was."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .forecast import Forecast, StepForecast
from .logs import printable

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
UNKNOWN = "not forecast"


def show_forecast(found: Forecast) -> RenderableType:
    """Return what a run will take: each step, the whole, and what it rests on."""
    drawn, longest = found.sampled
    lines = [f"done already: {', '.join(found.done)}"] if found.done else []
    if not found.steps:
        return Text(printable("\n".join([*lines, "nothing is left to be computed"])))
    lines.insert(0, f"measured on {drawn:,} of {found.rows:,} rows, and the {longest:,} longest")
    parts: list[RenderableType] = [Text(printable("\n".join(lines))), _steps(found)]
    whole = [f"in all:  {duration(found.seconds)}"]
    if found.start_s:
        whole[0] += f", of which {found.start_s:.1f} s until Ray's workers are there"
    if found.cost is not None:
        whole.append(f"cost:    {found.cost:,.4g} at {found.price:g} an hour")
    workers = int(found.engine["workers"])
    each = f", {workers} workers together" if workers > 1 else ""
    whole += [f"store:   {size(found.size)}", f"memory:  at least {size(found.peak)}{each}"]
    if on_gpu := max(step.gpu_peak for step in found.steps):
        whole.append(f"GPU:     {size(on_gpu)} of a worker")
    whole += [f"{step.step}{_of(step)}: {step.without}" for step in found.steps if step.without]
    whole += [f"assumed: {one}" for one in found.assumes]
    return Group(*parts, Text(printable("\n".join(whole))))


def _steps(found: Forecast) -> Table:
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("step", overflow="fold")
    for header in ("rows", "tokens", "rows/s", "time", "store", "memory of a worker"):
        table.add_column(header, justify="right")
    for step in found.steps:
        tokens = "" if step.tokens is None else f"{'' if step.exact else 'some '}{step.tokens:,}"
        table.add_row(
            Text(step.step + _of(step)),
            f"{step.rows:,}",
            tokens,
            "" if step.rows_per_s is None else f"{step.rows_per_s:,.1f}",
            UNKNOWN if step.seconds is None else duration(step.seconds),
            UNKNOWN if step.size is None else size(step.size),
            size(step.peak) if step.peak else UNKNOWN,
        )
    return table


def _of(step: StepForecast) -> str:
    return f" of {step.target}" if step.target else ""


def compared(said: Mapping[str, Any]) -> str:
    """Return in one line how far off a forecast was, as a manifest holds it."""
    if not said["steps"]:
        return "forecast:        there is one, of other rows than this start computed"
    seconds = said["seconds"]
    others = {"processor": said["cpu_s"], "store": said["size"], "tokens": said["tokens"]}
    off = [f"{name} {_off(figure)}" for name, figure in others.items() if figure["really"]]
    return "; ".join(
        [
            f"forecast:        {duration(seconds['forecast'])} for {said['compared']} of "
            f"{said['of']} steps, which took {duration(seconds['really'])} ({_off(seconds)})",
            *off,
        ]
    )


def _off(figure: Mapping[str, Any]) -> str:
    off = figure["off"]
    if off is None:
        return "nothing to compare"
    return "exact" if figure["forecast"] == figure["really"] else f"{off:+.1%}"


def duration(seconds: float) -> str:
    """Return seconds as a person says them."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def size(n_bytes: float) -> str:
    """Return bytes as a person says them, in powers of 1,000."""
    unit = 0
    while n_bytes >= 1000 and unit < len(UNITS) - 1:
        n_bytes, unit = n_bytes / 1000, unit + 1
    return f"{n_bytes:.0f} {UNITS[unit]}" if unit < 2 else f"{n_bytes:.2f} {UNITS[unit]}"
