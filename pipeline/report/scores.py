"""How each score is spread in the pool, among kept rows and among random ones, with its cut."""

import numpy as np
import pyarrow.compute as pc
from markupsafe import Markup

from ..finished import Finished
from ..selection import DROPPED
from .beside import Beside
from .chapter import Chapter, Finding
from .charts import Spread, histogram
from .funnel import selector_steps
from .leaning import rank_correlation
from .lengths import Lengths
from .page import (
    Cell,
    Column,
    Level,
    figure,
    four_figures,
    legend,
    note,
    paragraph,
    side_by_side,
    table,
)

ALIKE, VERY_ALIKE = 0.3, 0.6  # Spearman's correlation of a score and a length
SAME = 1e-2  # of the middle half of a score: lines closer than that are one
ROUNDING = 1e-6  # of the largest score
LEGEND = (("kept", "kept"), ("pool", "pool"), ("random", "random, same size"))


def scores(run: Finished, beside: Beside, lengths: Lengths | None) -> Chapter:
    """Return the chapter.

    Args:
        run: with its scores.
        beside: its rows, and random ones.
        lengths: of the answers, where they are known.
    """
    deciding = _deciding(run)
    figures: list[Markup] = []
    rows: list[list[Cell]] = []
    if not run.scorers:
        return Chapter("Scores and cuts", [paragraph("No scores: this run has no scorer.")])
    for name in sorted(run.scorers, key=lambda name: name not in deciding):
        values = beside.numbers(f"{name}.score")
        there = np.isfinite(values)
        if not there.any():
            continue
        spread = Spread(
            values[there],
            values[there & beside.kept],
            values[there & beside.random[0]],
            f"{name}.score",
            cuts(run, beside, name) if name in deciding else (),
        )
        kept, random = (_median(v) for v in (spread.kept, spread.random))
        says = f"{name}: {_medians(spread)}"
        figures.append(figure(histogram(spread, says), _caption(spread), name))
        alike = rank_correlation(values, lengths.values) if lengths else None
        cut = ", ".join(map(four_figures, spread.cuts)) or None
        missing = 1 - float(there.mean())
        rows.append([name, _median(spread.pool), kept, random, cut, alike, missing])
    body = [
        paragraph(
            "Share of the rows of each choice, by score; higher is kept first. What lies beyond "
            "the drawn range stands in the last bin at either end; what is higher "
            "than the drawing ends at its top.",
            quiet=True,
        ),
        legend(*LEGEND),
        side_by_side(*figures),
        note("The same in numbers", table(_columns(lengths), rows)),
    ]
    return Chapter("Scores and cuts", body, _length_in_disguise(leading(run), rows, lengths))


def _columns(lengths: Lengths | None) -> list[Column]:
    unit = lengths.unit if lengths else "length"
    return [
        Column("score"),
        Column("pool", four_figures, hint="median"),
        Column("kept", four_figures, hint="median"),
        Column("random", four_figures, hint="median"),
        Column("cut"),
        Column("with length", "+.2f", hint=f"rank correlation with the {unit} of the answer"),
        Column("without", ".1%", hint="usable rows without this score"),
    ]


def cuts(run: Finished, beside: Beside, name: str) -> tuple[float, ...]:
    """Return where selectors drew a line through a score: what a row's margin is the distance to.

    A line is only shown where a selector dropped rows, the margins of all rows that it ordered by
    the score agree on it, and those that it let pass lie on one side of it.
    """
    values, margin = beside.numbers(f"{name}.score"), beside.numbers("margin")
    there = np.isfinite(values) & np.isfinite(margin)
    steps = np.asarray(beside.rows["step"].to_pylist(), dtype=object)
    dropped = np.asarray(pc.equal(beside.rows["outcome"], DROPPED))
    found: list[float] = []
    names = selector_steps(run)
    for place, block in enumerate(run.manifest["config"]["selector"]):
        rows = there & (steps == names[place])
        if f"{name}.score" not in block.values() or not (rows & dropped).any():
            continue
        tolerance = SAME * float(np.ptp(np.percentile(values[there], [25, 75])))
        tolerance += ROUNDING * float(np.abs(values[there]).max())
        passed = values[beside.kept | np.isin(steps, names[place + 1 :])]
        for side in (1, -1):  # what passes lies above the line, or below
            lines = values[rows] - side * margin[rows]
            line, spread = float(np.median(lines)), np.ptp(np.percentile(lines, [1, 99]))
            if spread <= tolerance and not (side * (passed - line) < -tolerance).any():
                found.append(line)
                break
    return tuple(sorted(set(found)))


def _deciding(run: Finished) -> list[str]:
    """The scorers that some selector goes by."""
    read = {
        str(value).removesuffix(".score")
        for block in run.manifest["config"]["selector"]
        for value in block.values()
    }
    return [name for name in run.scorers if name in read]


def leading(run: Finished) -> str | None:
    """Return the scorer that the last selector goes by, or the first there is."""
    for block in reversed(run.manifest["config"]["selector"]):
        for value in block.values():
            if (name := str(value).removesuffix(".score")) in run.scorers:
                return name
    return run.scorers[0] if run.scorers else None


def _length_in_disguise(
    by: str | None, rows: list[list[Cell]], lengths: Lengths | None
) -> list[Finding]:
    """Whether what the last selector goes by is in truth the length."""
    alike = next((row[-2] for row in rows if row[0] == by), None)
    if lengths is None or not isinstance(alike, float):
        return []
    level: Level = "ok" if abs(alike) < ALIKE else "minor" if abs(alike) < VERY_ALIKE else "major"
    how = {"ok": "hardly goes", "minor": "partly goes", "major": "mostly goes"}[level]
    text = (
        f"{by} {how} by the length of the answer: rank correlation {alike:+.2f} over the pool "
        f"(0 none, ±1 the same order)."
    )
    return [Finding(level, text)]


def _caption(spread: Spread) -> str:
    if not spread.cuts:
        return f"{_medians(spread)}."
    lines = "line is the cut" if len(spread.cuts) == 1 else "lines are the cuts"
    shown = " and ".join(map(four_figures, spread.cuts))
    return f"The upright {lines}, at {shown}."


def _medians(spread: Spread) -> str:
    pool, kept = (four_figures(_median(values)) for values in (spread.pool, spread.kept))
    return f"Median {pool} in the pool, {kept} kept"


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else float("nan")
