"""What a run cost: rows, tokens and seconds of each step, and what was there already."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ..finished import Finished
from .chapter import Chapter
from .page import Cell, Column, paragraph, table


def cost(run: Finished) -> Chapter:
    """Return the chapter."""
    manifest = run.manifest
    steps: Sequence[Mapping[str, Any]] = manifest["steps"]
    columns = [
        Column("step"),
        Column("rows computed", ","),
        Column("tokens", ",.0f", hint="that went through a model"),
        Column("seconds", ",.1f"),
        Column("rows/s", ",.0f"),
        Column("reused", ".0%", hint="share of the parts that were computed before"),
    ]
    whole = f"{manifest['seconds']:,.1f} s from start to end"
    if rounds := manifest.get("rounds"):
        share = rounds["took"] / rounds["of"]
        whole += f"; in rounds {rounds['took']:,} of {rounds['of']:,} copies ({share:.1%})"
    engine = manifest["config"]["engine"]
    made = manifest["environment"]
    return Chapter(
        "What it cost",
        [
            paragraph(
                f"{whole}. Tamis {manifest['tamis']}, engine {engine['kind']}, Python "
                f"{made['python']}, {made['machine']}; {_time(manifest['began'])} to "
                f"{_time(manifest['ended'])}."
            ),
            table(columns, [_line(step) for step in steps]),
            paragraph(
                "What was computed once is never computed again: a step that is reused "
                "takes no time.",
                quiet=True,
            ),
        ],
    )


def _time(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S UTC")


def _line(step: Mapping[str, Any]) -> list[Cell]:
    name = step["name"]
    if step["number"]:
        name += f", round {step['number'] + 1}"
    if step["target"]:
        name += f" of target {step['target']}"
    rate = step["rows"] / step["seconds"] if step["seconds"] and step["rows"] else None
    reused = 1 - step["computed"] / step["parts"] if step["parts"] else None
    tokens = step["spent"].get("tokens")
    return [name, step["rows"], tokens, step["seconds"], rate, reused]
