"""Where the faults of a pool are known: how many of them the selection keeps."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ..finished import Finished
from .chapter import Chapter, Finding
from .page import Column, Level, paragraph, table


def planted(run: Finished) -> Chapter | None:
    """Return the chapter; None where the run names no labels."""
    faults = run.manifest.get("faults")
    if faults is None:
        return None
    columns = [
        Column("choice", hint="top: the best rows by that score, at the same budget"),
        Column("rows", ","),
        *(Column(kind.replace("_", " "), ".1%") for kind in faults["kinds"]),
        Column("any", ".1%"),
    ]
    rows = [
        [choice.removeprefix("top "), faults["rows"][choice], *shares]
        for choice, shares in faults["shares"].items()
    ]
    kept, random = (faults["shares"][choice][-1] for choice in ("selection", "random"))
    body = [
        paragraph(
            f"The column {run.manifest['config']['labels']} says what is wrong with a row. Share "
            "of the rows of each choice with each fault; below the random choice stand the best "
            "rows by each score, at the same budget.",
            quiet=True,
        ),
        table(columns, rows),
        *_found(faults),
    ]
    return Chapter("Planted faults", body, [_finding(kept, random)])


def _found(faults: Mapping[str, Any]) -> list[Markup]:
    """What each filter finds of each kind, and how many rows without a fault."""
    if not faults.get("found"):
        return []
    kinds = [kind.replace("_", " ") for kind in faults["kinds"]]
    columns = [
        Column("filter"),
        Column("rows", ","),
        *(Column(kind, ".1%") for kind in (*kinds, "any")),
        Column("precision", ".1%", hint="share of what it finds that has any fault"),
        Column("no fault", ".2%", hint="share of the rows without a fault that it finds"),
    ]
    rows = [
        [name, own["rows"], *own["recall"], own["precision"][-1], own["harmed"]]
        for name, own in faults["found"].items()
    ]
    text = "Share of the rows with each fault that each filter finds by itself."
    return [paragraph(text, quiet=True), table(columns, rows)]


def _finding(kept: float, random: float) -> Finding:
    if kept == 0:
        return Finding("ok", f"The selection keeps no faulty row; a random choice {random:.1%}.")
    level: Level = "ok" if kept < random else "minor" if kept < 1.5 * random else "major"
    how = "fewer" if kept < random else "no fewer"
    shown = f"{kept:.1%} against {random:.1%}"
    text = f"The selection keeps {how} faulty rows than a random choice: {shown}."
    return Finding(level, text)
