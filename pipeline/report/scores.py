"""How each score is spread in the pool, among kept rows and among random ones, with its cut."""

import numpy as np

from ..finished import Finished
from .beside import Beside
from .chapter import Chapter, Finding
from .charts import Spread, histogram
from .leaning import rank_correlation
from .lengths import Lengths
from .page import Column, Level, figure, four_figures, legend, note, paragraph, side_by_side, table

ALIKE, VERY_ALIKE = 0.3, 0.6  # Spearman's correlation of a score and a length
SAME = 1e-4  # of a score's range: cuts closer than that are one
LEGEND = (("kept", "kept"), ("pool", "pool"), ("random", "random, same size"))


def scores(run: Finished, beside: Beside, lengths: Lengths | None) -> Chapter:
    """Return the chapter.

    Args:
        run: with its scores.
        beside: its rows, and random ones.
        lengths: of the answers, where they are known.
    """
    deciding = _deciding(run)
    figures, rows = [], []
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
            cuts(beside, name) if name in deciding else (),
        )
        kept, random = (_median(v) for v in (spread.kept, spread.random))
        says = f"{name}: median {four_figures(_median(spread.pool))} in the pool, {four_figures(kept)} kept"
        figures.append(figure(histogram(spread, says), _caption(spread), name))
        alike = rank_correlation(values, lengths.values) if lengths else None
        cut = ", ".join(map(four_figures, spread.cuts)) or None
        missing = 1 - float(there.mean())
        rows.append([name, _median(spread.pool), kept, random, cut, alike, missing])
    body = [
        paragraph(
            "Share of the rows of each choice, by score; higher is kept first. What lies beyond "
            "the drawn range stands in the last bin at either end.",
            quiet=True,
        ),
        legend(*LEGEND),
        side_by_side(*figures),
        note("The same in numbers", table(_columns(lengths), rows)),
    ]
    return Chapter("Scores and cuts", body, _length_in_disguise(deciding, rows, lengths))


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


def cuts(beside: Beside, name: str) -> tuple[float, ...]:
    """Return where selectors drew a line through a score: what a row's margin is the distance to.

    A line is only shown where the margins of all rows of a step agree on it.
    """
    values, margin = beside.numbers(f"{name}.score"), beside.numbers("margin")
    there = np.isfinite(values) & np.isfinite(margin)
    if not there.any():
        return ()
    steps = np.asarray(beside.rows["step"].to_pylist(), dtype=object)
    tolerance = max(float(np.ptp(values[there])) * SAME, 1e-9)
    found: list[float] = []
    for step in dict.fromkeys(steps[there].tolist()):
        rows = there & (steps == step)
        for lines in (values[rows] - margin[rows], values[rows] + margin[rows]):  # from either side
            if np.ptp(lines) <= tolerance and rows.sum() > 1:
                found.append(float(np.median(lines)))
                break
    return tuple(sorted(found))


def _deciding(run: Finished) -> list[str]:
    """The scorers that some selector goes by."""
    read = {
        str(value).removesuffix(".score")
        for block in run.manifest["config"]["selector"]
        for value in block.values()
    }
    return [name for name in run.scorers if name in read]


def _length_in_disguise(
    deciding: list[str], rows: list[list[object]], lengths: Lengths | None
) -> list[Finding]:
    if lengths is None:
        return []
    found = []
    for name, *_, alike, _ in rows:
        if name not in deciding or not isinstance(alike, float):
            continue
        level: Level = (
            "ok" if abs(alike) < ALIKE else "minor" if abs(alike) < VERY_ALIKE else "major"
        )
        how = {"ok": "hardly goes", "minor": "partly goes", "major": "mostly goes"}[level]
        found.append(
            Finding(
                level,
                f"{name} {how} by the length of the answer: rank correlation {alike:+.2f} "
                f"(0 none, ±1 the same order).",
            )
        )
    return found


def _caption(spread: Spread) -> str:
    if not spread.cuts:
        return f"Median {four_figures(_median(spread.pool))} in the pool, {four_figures(_median(spread.kept))} kept."
    lines = "line is the cut" if len(spread.cuts) == 1 else "lines are the cuts"
    shown = " and ".join(map(four_figures, spread.cuts))
    return f"The upright {lines}, at {shown}."


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else float("nan")
