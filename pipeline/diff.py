"""What one selection has that another has not: overlap, ranks, what moved, and how they lean."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..stages.locations import locate
from ..stages.remote import is_file
from .drift import Mix, Spread, cluster_mix, source_mix, spreads
from .elsewhere import Reading, chosen_elsewhere
from .finished import open_run
from .folder import MANIFEST
from .report.leaning import rank_correlation
from .sides import Side, side_of, snippets
from .verdict import LOST

SHOWN, IN_PAGE = 5, 25  # rows of each side that moved


@dataclass(frozen=True)
class Count:
    """One side in numbers.

    Attributes:
        name: of the side.
        budget: in words; empty for rows chosen elsewhere.
        contents: different ones in its pool; of rows chosen elsewhere among the rows.
        kept: of these.
        rows: kept rows, those of one content counted apart.
        unknown: contents of its pool that the other side does not know.
        kept_unknown: of the kept ones.
    """

    name: str
    budget: str
    contents: int
    kept: int
    rows: int
    unknown: int
    kept_unknown: int


@dataclass(frozen=True)
class Overlap:
    """What both keep.

    Attributes:
        both: contents.
        jaccard: of all that either keeps, the share that both do.
        by_chance: how many two random choices of these sizes would share on average.
    """

    both: int
    jaccard: float
    by_chance: float


@dataclass(frozen=True)
class Correlation:
    """How alike two scores order the rows that have both.

    Attributes:
        a, b: the scores.
        spearman: in [-1, 1], with mean ranks for ties; None where one is the same for all rows.
        n: rows.
    """

    a: str
    b: str
    spearman: float | None
    n: int


@dataclass(frozen=True)
class Moved:
    """A row that one side keeps and the other does not.

    Attributes:
        row_id: on the side that keeps it.
        other_row_id: on the other; None where rows chosen elsewhere do not have it.
        rank: on the side that keeps it; None for rows chosen elsewhere.
        step, reason, other_rank: where it ended on the other, why, and its rank there.
        percentile: of the score that the other goes by.
        text: its first user turn; None where it is gone.
    """

    row_id: int
    other_row_id: int | None
    rank: int | None
    step: str
    reason: str
    other_rank: int | None
    percentile: float | None
    text: str | None


@dataclass(frozen=True)
class Diff:
    """Two selections, compared.

    Attributes:
        a, b: both sides in numbers.
        overlap: what they share.
        correlations: of the scores of one name, and of those that the selectors go by.
        only_a, only_b: the surest of the rows that one side alone keeps, and the other knows.
        n_only_a, n_only_b: how many such rows there are.
        lengths, sources, clusters: how they lean; None where that is not known.
        reading: of rows chosen elsewhere.
        missing: what could not be said, and why.
    """

    a: Count
    b: Count
    overlap: Overlap
    correlations: tuple[Correlation, ...]
    only_a: tuple[Moved, ...]
    only_b: tuple[Moved, ...]
    n_only_a: int
    n_only_b: int
    lengths: tuple[Spread, ...] | None
    sources: Mix
    clusters: Mix | None
    reading: Reading | None
    missing: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the same in plain values."""
        return asdict(self)


def diff(run: str, other: str, allow_code: bool = False, shown: int = SHOWN) -> Diff:
    """Compare a run with another, or with rows chosen elsewhere.

    Args:
        run: its folder.
        other: the folder of a finished run, or whatever `data` can name.
        allow_code: as for the runs themselves.
        shown: rows of each side that moved.

    Raises:
        ConfigError: no finished run.
        DataError: no row of the other is known to the run.
    """
    a = side_of(open_run(run, allow_code), run)
    reading = None
    if is_file(locate(other) / MANIFEST):
        b = side_of(open_run(other, allow_code), other)
    else:
        assert a.run is not None
        b, reading = chosen_elsewhere(other, a.run)
    return compare(a, b, reading, shown)


def compare(a: Side, b: Side, reading: Reading | None = None, shown: int = SHOWN) -> Diff:
    """Compare two sides; see `diff`."""
    to_b, to_a = _places(a, b), _places(b, a)
    both = int((a.kept & _kept_there(b, to_b)).sum())
    counts = _count(a, to_b), _count(b, to_a)
    missing = list[str]()
    moved, n_moved = [], []
    for own, other, places in ((a, b, to_b), (b, a, to_a)):
        known = (places >= 0) | (other.run is None)  # what nobody chose has no line there
        rows = np.flatnonzero(own.kept & known & ~_kept_there(other, places))
        n_moved.append(len(rows))
        moved.append(_moved(own, other, places, _surest(own, rows)[:shown], missing))
    lengths, clusters = None, None
    try:
        lengths = spreads(a.kept_lengths(), b.kept_lengths())
    except LOST as error:
        missing.append(f"lengths: {error}")
    try:
        clusters = cluster_mix(a, b)
    except LOST as error:
        missing.append(f"clusters: {error}")
    return Diff(
        *counts,
        _overlap(*counts, both, int((to_b >= 0).sum())),
        _correlations(a, b, to_b),
        moved[0],
        moved[1],
        n_moved[0],
        n_moved[1],
        lengths,
        source_mix(a, b),
        clusters,
        reading,
        tuple(missing),
    )


def _places(a: Side, b: Side) -> np.ndarray:
    """(contents of a,) the place of each among those of b, -1 where it has none."""
    found = pc.index_in(a.rows["sample_id"], b.rows["sample_id"].combine_chunks())
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)


def _kept_there(other: Side, places: np.ndarray) -> np.ndarray:
    """(places,) whether the other side keeps it."""
    return np.asarray((places >= 0) & other.kept[places])


def _count(side: Side, places: np.ndarray) -> Count:
    unknown, kept = places < 0, side.kept
    numbers = len(kept), kept.sum(), side.n_rows, unknown.sum(), (unknown & kept).sum()
    return Count(side.name, side.budget, *map(int, numbers))


def _overlap(a: Count, b: Count, both: int, common: int) -> Overlap:
    by_chance = common * (a.kept / a.contents) * (b.kept / b.contents)
    return Overlap(both, both / (a.kept + b.kept - both), by_chance)


def _correlations(a: Side, b: Side, to_b: np.ndarray) -> tuple[Correlation, ...]:
    pairs = [(name, name) for name in a.scores if name in b.scores]
    if a.order and b.order and (a.order, b.order) not in pairs:
        pairs.append((a.order, b.order))
    known = np.flatnonzero(to_b >= 0)
    found = []
    for own, other in pairs:
        one = a.rows[own].to_numpy()[known].astype(np.float64)
        two = b.rows[other].to_numpy()[to_b[known]].astype(np.float64)
        n = int((np.isfinite(one) & np.isfinite(two)).sum())
        found.append(Correlation(own, other, rank_correlation(one, two), n))
    return tuple(found)


def _surest(side: Side, rows: np.ndarray) -> np.ndarray:
    """Rows by their rank; those without one in the order that they stand in."""
    ranks = side.rows["rank"].take(pa.array(rows)).fill_null(np.iinfo(np.int64).max)
    row_ids = side.rows["row_id"].take(pa.array(rows))
    return np.asarray(rows[np.lexsort((row_ids.to_numpy(), ranks.to_numpy()))])


def _moved(
    own: Side, other: Side, places: np.ndarray, rows: np.ndarray, missing: list[str]
) -> tuple[Moved, ...]:
    mine = own.rows.take(pa.array(rows)).to_pylist()
    at = pa.array(places[rows], mask=places[rows] < 0)
    theirs = other.rows.take(at).to_pylist()
    by = (other.order or "").removesuffix("score") + "percentile"
    named, lines_ = (own, mine) if own.run else (other, theirs)
    texts: Sequence[str | None] = [None] * len(rows)
    try:
        texts = list(snippets(named, [line["row_id"] for line in lines_]))
    except LOST as error:
        missing.append(f"texts of {named.name}: {error}")
    return tuple(
        Moved(
            line["row_id"],
            there["row_id"],
            line["rank"],
            there["step"] or "",
            there["reason"] or "",
            there["rank"],
            there.get(by),
            text,
        )
        for line, there, text in zip(mine, theirs, texts, strict=True)
    )
