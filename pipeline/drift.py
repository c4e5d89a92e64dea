"""How two selections differ in kind: lengths, sources and clusters of the rows they keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .report.leaning import moved
from .sides import Lengths, Side

QUANTILES = (0.1, 0.5, 0.9)
LABEL = ".label"  # of clusters


@dataclass(frozen=True)
class Spread:
    """Characters of one part of the kept rows, on both sides.

    Attributes:
        part: instruction or answer.
        mean: of each side.
        quantiles: of each side, at `QUANTILES`.
    """

    part: str
    mean: tuple[float, float]
    quantiles: tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Mix:
    """How the kept rows of both sides spread over groups.

    Attributes:
        of: `source`, or the column of the clusters.
        shares: of each group on each side; the ones that moved most first.
        moved: total variation: the share of the one selection that would have to change its group
            for the mix to be that of the other, in [0, 1].
    """

    of: str
    shares: Mapping[str, tuple[float, float]]
    moved: float


def spreads(a: Lengths, b: Lengths) -> tuple[Spread, ...]:
    """Return how long the rows of both sides are."""
    found = []
    for part in ("instruction", "answer"):
        own, other = (np.asarray(getattr(side, part)) for side in (a, b))
        marks = [tuple(np.quantile(side, QUANTILES).tolist()) for side in (own, other)]
        means = float(own.mean()), float(other.mean())
        found.append(Spread(part, means, (marks[0], marks[1])))
    return tuple(found)


def mix(of: str, a: Sequence[str | None], b: Sequence[str | None]) -> Mix:
    """Return how two selections spread over groups.

    Args:
        of: what the groups are.
        a: the group of each row that the one keeps; rows without one are left out.
        b: likewise of the other.
    """
    shares = [_shares(a), _shares(b)]
    names = sorted({*shares[0], *shares[1]})
    both = {name: (shares[0].get(name, 0.0), shares[1].get(name, 0.0)) for name in names}
    apart = {name: abs(own - other) for name, (own, other) in both.items()}
    order = sorted(names, key=lambda name: (-apart[name], name))
    own, other = (np.array(side) for side in zip(*both.values(), strict=True))
    return Mix(of, {name: both[name] for name in order}, moved(own, other))


def source_mix(a: Side, b: Side) -> Mix:
    """Return how two selections spread over sources."""
    own = [side.rows["source"].filter(pa.array(side.kept)).to_pylist() for side in (a, b)]
    return mix("source", own[0], own[1])


def cluster_mix(a: Side, b: Side) -> Mix | None:
    """Return how two selections spread over the clusters of the first side that has any.

    Raises:
        ArtifactError, DataError: the clusters are no longer in the store.
    """
    for side in (a, b):
        columns = side.run.columns if side.run else {}
        name = next((column for column in columns if column.endswith(LABEL)), None)
        if name is None or side.run is None:
            continue
        table = pa.concat_tables(list(side.run.tables([name]))).combine_chunks()
        place = pc.index_in(side.rows["row_id"], table["row_id"].combine_chunks())
        labels = table[name].take(place).cast(pa.string()).combine_chunks()
        known = side.rows["sample_id"].combine_chunks()
        own = []
        for each in (a, b):
            kept = each.rows["sample_id"].filter(pa.array(each.kept))
            own.append(labels.take(pc.index_in(kept, known)).to_pylist())
        return mix(name, own[0], own[1])
    return None


def _shares(groups: Sequence[str | None]) -> dict[str, float]:
    there = [group for group in groups if group is not None]
    names, counts = np.unique(np.array(there, dtype=object), return_counts=True)
    return {str(n): int(c) / len(there) for n, c in zip(names, counts, strict=True)}
