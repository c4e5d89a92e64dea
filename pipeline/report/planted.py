"""Where the faults of a pool are known: how many of them the selection keeps."""

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
    ]
    return Chapter("Planted faults", body, [_finding(kept, random)])


def _finding(kept: float, random: float) -> Finding:
    if kept == 0:
        return Finding("ok", f"The selection keeps no faulty row; a random choice {random:.1%}.")
    level: Level = "ok" if kept < random else "minor" if kept < 1.5 * random else "major"
    how = "fewer" if kept < random else "no fewer"
    shown = f"{kept:.1%} against {random:.1%}"
    text = f"The selection keeps {how} faulty rows than a random choice: {shown}."
    return Finding(level, text)
