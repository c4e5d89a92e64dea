"""What the selection is made of beside its pool: length, source and cluster, and where it leans."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from ...errors import ArtifactError, DataError
from ..finished import Finished
from .beside import CHOICES, Beside
from .chapter import Chapter, Finding
from .charts import Group, Spread, histogram, mix
from .leaning import Lean, lean_of_groups, lean_of_numbers, shares
from .lengths import Lengths
from .page import figure, legend, paragraph, side_by_side
from .scores import LEGEND

SHOWN = 12  # groups of a mix that are drawn


def mixes(run: Finished, beside: Beside, lengths: Lengths | None, why_not: str = "") -> Chapter:
    """Return the chapter.

    Args:
        run: of the report.
        beside: its rows, and random ones.
        lengths: of the answers, where they are known.
        why_not: why they are not.
    """
    figures: list[Markup] = []
    findings: list[Finding] = []
    said = [
        paragraph(
            f"Each figure stands beside {CHOICES} random choices of as many {beside.unit} from the "
            "same usable rows. A verdict goes by how large a difference is, where it is beyond all "
            "of these.",
            quiet=True,
        ),
        legend(*LEGEND),
    ]
    if lengths is None:
        said.append(paragraph(f"Lengths are not shown: {why_not}.", quiet=True))
    else:
        _add(_length(beside, lengths), figures, findings)
    names = pc.unique(beside.rows["source"]).to_pylist()
    if len(names) == 1:
        said.append(paragraph(f"All rows are of one source: {names[0]}.", quiet=True))
    else:
        _add(_groups(beside, beside.rows["source"], "source"), figures, findings)
    for name in run.columns:
        if name.endswith(".label"):
            try:
                labels = _labels(run, name)
            except (DataError, ArtifactError) as error:
                said.append(paragraph(f"{name} is not shown: {error}.", quiet=True))
                continue
            _add(_groups(beside, labels, f"cluster ({name})"), figures, findings)
    return Chapter("What it is made of", [*said, side_by_side(*figures)], findings)


def _add(made: tuple[Markup, Finding], figures: list[Markup], findings: list[Finding]) -> None:
    figures.append(made[0])
    findings.append(made[1])


def _length(beside: Beside, lengths: Lengths) -> tuple[Markup, Finding]:
    known = np.isfinite(lengths.values)
    lean = lean_of_numbers(lengths.values, beside.kept & known, beside.random & known)
    medians = [
        float(np.median(lengths.values[rows & known])) if (rows & known).any() else np.nan
        for rows in (known, beside.kept, *beside.random)
    ]
    pool, kept, *random = medians
    text = (
        f"{_leans(lean)} Median answer: {kept:,.0f} {lengths.unit} kept, {pool:,.0f} in the pool; "
        f"random choices {min(random):,.0f} to {max(random):,.0f}. A kept answer is longer than "
        f"one of the pool in {lean.size:.1%} of pairs (50% is no lean; random choices "
        f"{lean.range[0]:.1%} to {lean.range[1]:.1%})."
    )
    values = np.maximum(lengths.values, 1)
    spread = Spread(
        values[known],
        values[beside.kept & known],
        values[beside.random[0] & known],
        f"{lengths.unit} of the answer",
    )
    drawn = histogram(spread, text, log=True)
    return figure(drawn, f"Of {lengths.of}.", "Length of the answer"), Finding(lean.level, text)


def _labels(run: Finished, name: str) -> pa.ChunkedArray:
    table = pa.concat_tables(run.tables([name]), promote_options="default")
    return pc.binary_join_element_wise("cluster", pc.cast(table[name], pa.string()), " ")


def _leans(lean: Lean) -> str:
    if lean.level == "ok":
        return "No lean in length."
    longer = "longer" if lean.size > 0.5 else "shorter"
    how = "somewhat" if lean.level == "minor" else "strongly"
    return f"The selection leans {how} towards {longer} answers."


def _groups(beside: Beside, names: pa.ChunkedArray, what: str) -> tuple[Markup, Finding]:
    coded = pc.fill_null(names, "none").combine_chunks().dictionary_encode()
    groups = coded.indices.to_numpy().astype(np.int64)
    called = coded.dictionary.to_pylist()
    lean = lean_of_groups(groups, beside.kept, beside.random)
    pool, kept, *random = (
        shares(groups, rows) for rows in (np.ones(len(groups), bool), beside.kept, *beside.random)
    )
    low, high = np.min(random, axis=0), np.max(random, axis=0)
    order = np.argsort(-np.maximum(pool, kept), kind="stable")[:SHOWN]
    shown = [
        Group(called[n], float(pool[n]), float(kept[n]), float(low[n]), float(high[n]))
        for n in order
    ]
    text = _mix_text(lean, what, called, pool, kept)
    caption = "Bars: pool; dots: kept; lines: the range of random choices."
    if len(called) > SHOWN:
        caption += f" The {SHOWN} largest of {len(called):,}."
    return figure(mix(shown, text), caption, f"Rows by {what}"), Finding(lean.level, text)


def _mix_text(
    lean: Lean, what: str, called: Sequence[str], pool: np.ndarray, kept: np.ndarray
) -> str:
    most = int(np.argmax(kept - pool))
    head = {
        "ok": f"No lean by {what}.",
        "minor": f"The selection leans somewhat by {what}.",
        "major": f"The selection leans strongly by {what}.",
    }[lean.level]
    return (
        f"{head} {lean.size:.1%} of the kept rows would have to come from others to match the pool "
        f"(random choices {lean.range[0]:.1%} to {lean.range[1]:.1%}). Most above its share: "
        f"{called[most]}, {kept[most]:.1%} of the kept rows and {pool[most]:.1%} of the pool."
    )
