"""A comparison of two selections as a page of HTML."""

from collections.abc import Sequence

from markupsafe import Markup

from .diff import Diff, Moved
from .diff_words import correlations_in_words, fate, overlap_in_words, sides_in_words
from .drift import QUANTILES, Mix, Spread
from .report import page as of

GROUPS = 50  # sources or clusters that are listed


def diff_page(found: Diff) -> str:
    """Return the page."""
    parts = [_overlap(found)]
    if found.correlations:
        shown = [of.paragraph(line) for line in correlations_in_words(found)]
        parts.append(of.section("Rank correlation", *shown))
    for name, other, rows, n in (
        ("A", "B", found.only_a, found.n_only_a),
        ("B", "A", found.only_b, found.n_only_b),
    ):
        if n:
            parts.append(_moved(name, other, rows, n))
    leaning = [] if found.lengths is None else [_lengths(found.lengths)]
    leaning += [_mix(own) for own in (found.sources, found.clusters) if own and len(own.shares) > 1]
    if leaning:
        parts.append(of.section("How they lean", *leaning))
    if found.missing:
        parts.append(of.section("Missing", *map(of.paragraph, found.missing)))
    return of.page("Two selections", parts, f"A: {found.a.name} · B: {found.b.name}")


def _overlap(found: Diff) -> Markup:
    own = found.overlap
    tiles = [
        of.Tile("both keep", f"{own.both:,}", f"by chance {own.by_chance:,.1f}", is_key=True),
        of.Tile("Jaccard", f"{own.jaccard:.3f}", "of all that either keeps"),
        of.Tile("A alone", f"{found.a.kept - own.both:,}", f"of {found.a.kept:,} different rows"),
        of.Tile("B alone", f"{found.b.kept - own.both:,}", f"of {found.b.kept:,} different rows"),
    ]
    sides = [of.paragraph(line.strip(), quiet=True) for line in sides_in_words(found)[:-1]]
    return of.section("Overlap", of.tiles(tiles), of.paragraph(overlap_in_words(found)), *sides)


def _moved(own: str, other: str, rows: Sequence[Moved], n: int) -> Markup:
    columns = (
        of.Column("row", "d", "row_id on the side that keeps it"),
        of.Column(f"row in {other}", "d"),
        of.Column(f"rank in {own}", ",d"),
        of.Column(f"in {other}"),
        of.Column(f"rank in {other}", ",d"),
        of.Column(f"above in {other}", ".1%", "share of the scored rows with a lower score"),
        of.Column("text", is_wide=True),
    )
    lines: list[tuple[of.Cell, ...]] = [
        (
            row.row_id,
            row.other_row_id,
            row.rank,
            fate(row).partition(", rank")[0],
            row.other_rank,
            row.percentile,
            "(its text is gone)" if row.text is None else of.long_text(row.text),
        )
        for row in rows
    ]
    best = "first" if rows and rows[0].rank is None else "surest"
    said = f"{n:,} rows that {other} could have kept and did not; here are the {best} {len(rows)}."
    table = of.table(columns, lines, search=True)
    return of.section(f"Kept by {own} alone", of.paragraph(said), table)


def _lengths(spreads: Sequence[Spread]) -> Markup:
    columns = [of.Column("characters"), of.Column("side"), of.Column("mean", ",.0f")]
    columns += [of.Column(f"{quantile:.0%}", ",.0f") for quantile in QUANTILES]
    lines: list[tuple[of.Cell, ...]] = [
        (own.part, side, mean, *marks)
        for own in spreads
        for side, mean, marks in zip("AB", own.mean, own.quantiles, strict=True)
    ]
    return of.table(columns, lines, "Length of the kept rows")


def _mix(own: Mix) -> Markup:
    columns = (of.Column(own.of), of.Column("A", ".1%"), of.Column("B", ".1%"))
    lines = [(name, *shares) for name, shares in list(own.shares.items())[:GROUPS]]
    more = len(own.shares) - GROUPS
    said = f"{own.of}: {own.moved:.1%} of the one would have to move to be mixed as the other"
    return of.table(columns, lines, said + (f"; {more:,} more moved less" if more > 0 else ""))
