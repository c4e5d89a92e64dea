"""A comparison in sentences, for the terminal and the page."""

from .diff import Correlation, Count, Diff, Moved


def sides_in_words(found: Diff) -> list[str]:
    """Return what each side is, what they share, and what they do not know of each other."""
    lines = [_side("A", found.a), _side("B", found.b)]
    if found.reading is not None:
        read = found.reading
        lines.append(
            f"   B was chosen elsewhere: {read.n:,} rows read, {read.n_rejected:,} of them "
            f"unusable, {read.n_matched:,} found in the pool of A"
        )
    elif found.a.budget != found.b.budget:
        lines.append(f"   the budgets differ: {found.a.budget} and {found.b.budget}")
    for side, other, own in (("A", "B", found.a), ("B", "A", found.b)):
        if own.unknown and found.reading is None:
            lines.append(
                f"   {own.unknown:,} rows of {side} are unknown to {other}, among them "
                f"{own.kept_unknown:,} that {side} keeps"
            )
    return [*lines, overlap_in_words(found)]


def overlap_in_words(found: Diff) -> str:
    """Return what both keep, beside what chance would give."""
    own = found.overlap
    times = f", so it is {own.both / own.by_chance:.1f} times that" if own.by_chance else ""
    return (
        f"both keep {own.both:,} (Jaccard {own.jaccard:.3f}); random choices of these sizes would "
        f"share {own.by_chance:,.1f}{times}"
    )


def correlations_in_words(found: Diff) -> list[str]:
    """Return how alike the scores order the rows that both sides scored."""
    return [_correlation(own) for own in found.correlations]


def fate(row: Moved) -> str:
    """Return where a row ended on the side that does not keep it."""
    parts = [f"{row.step}: {row.reason}"] if row.step else ["not chosen"]
    if row.other_rank is not None:
        parts.append(f"rank {row.other_rank:,}")
    if row.percentile is not None:
        parts.append(f"score above {row.percentile:.1%} of rows")
    return ", ".join(parts)


def _side(name: str, own: Count) -> str:
    budget = f", of a budget of {own.budget}" if own.budget else ""
    pool = f"; the pool has {own.contents:,} different rows" if own.budget else ""
    rows = f"{own.rows:,} rows" + (f", {own.kept:,} different" if own.rows > own.kept else "")
    return f"{name}  {own.name}: keeps {rows}{budget}{pool}"


def _correlation(own: Correlation) -> str:
    names = own.a if own.a == own.b else f"{own.a} of A and {own.b} of B"
    if own.n < 2:
        return f"rank correlation of {names}: none, as {own.n} rows have both"
    if own.spearman is None:
        return f"rank correlation of {names}: none, as one of them is the same for all rows"
    return f"rank correlation of {names}: {own.spearman:+.3f} (Spearman, {own.n:,} rows)"
