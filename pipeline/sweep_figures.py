"""What tells one choice of rows from another: overlap, length of the answers, sources, faults.

========================= ==================================================================
kept                      rows
overlap.random            share of its rows that random choices of the same budget keep too: mean
                          over their seeds; `_low`, `_high`: the least and the most
overlap.selection         share of its rows that the config's own choice keeps too
jaccard.<method>          rows in both / rows in either, at the same budget; random: mean of seeds
length.mean, length.ratio characters of an answer; that divided by the pool's
sources.distance          total variation: half the sum of the differences in share of each source,
                          0 (as the pool) to 1
fault.<kind>, fault.any   share of its rows, where the config names `labels`
========================= ==================================================================
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ..stages.selectors.base import Budget
from .faults import fault_kinds, fault_shares
from .report.leaning import moved, shares

OWN, RANDOM = "selection", "random"
IDS = ("method", "budget", "seed", "limit", "cost")


@dataclass(frozen=True)
class Cell:
    """A choice.

    Attributes:
        method: by which.
        label: of the budget, as `5%`.
        budget: itself.
        seed: of a random choice.
        kept: (rows,) of the usable rows, whether it is kept.
    """

    method: str
    label: str
    budget: Budget
    seed: int | None
    kept: np.ndarray

    @property
    def name(self) -> str:
        """What tells it from all others."""
        seed = "" if self.seed is None else f" {self.seed}"
        return f"{self.method}{seed} at {self.label}"


@dataclass(frozen=True)
class Facts:
    """What figures are made of; arrays are (rows,).

    Attributes:
        lengths: characters of the answers.
        sources: place of each row's source in `names`.
        names: of the sources.
        faults: kind of each row's fault, or None without labels.
        kinds: of faults.
    """

    lengths: np.ndarray
    sources: np.ndarray
    names: tuple[str, ...]
    faults: np.ndarray | None
    kinds: tuple[str, ...]

    def of(self, kept: np.ndarray) -> dict[str, float]:
        """Return the figures of some rows by themselves."""
        mean = float(self.lengths[kept].mean())
        mix, whole = (shares(self.sources, rows) for rows in (kept, np.ones_like(kept)))
        found = {
            "length.mean": mean,
            "length.ratio": mean / max(float(self.lengths.mean()), 1e-9),
            "sources.distance": moved(mix, whole),
        }
        if self.faults is not None:
            of_kinds = fault_shares(self.faults[kept], self.kinds)
            found |= {f"fault.{k}": s for k, s in zip((*self.kinds, "any"), of_kinds, strict=True)}
        return found

    def pool(self) -> dict[str, Any]:
        """Return the figures of the whole pool."""
        every = np.ones(len(self.lengths), dtype=bool)
        mix = dict(zip(self.names, shares(self.sources, every).tolist(), strict=True))
        return {"rows": len(every), "sources": mix, **self.of(every)}


def facts_of(labels: str | None, table: pa.Table, lengths: pa.ChunkedArray) -> Facts:
    """Return what the figures of a scored pool are made of.

    Args:
        labels: column of the kinds of faults, if there is one.
        table: of the usable rows: `source` and the labels.
        lengths: characters of their answers.
    """
    sources = table["source"].to_pylist()
    names = tuple(dict.fromkeys(sources))
    places = {name: place for place, name in enumerate(names)}
    faults, kinds = fault_kinds(table[labels]) if labels else (None, ())
    counts = np.asarray(lengths.to_numpy(), dtype=np.float64)
    return Facts(counts, np.array([places[s] for s in sources]), names, faults, kinds)


def figures(facts: Facts, cells: Sequence[Cell]) -> pa.Table:
    """Return a line for each choice; its figures are columns."""
    methods = list(dict.fromkeys(cell.method for cell in cells))
    made: list[dict[str, Any]] = []
    for cell in cells:
        same = [other for other in cells if other.label == cell.label]
        ids = (cell.method, cell.label, cell.seed, cell.budget.limit, cell.budget.cost)
        line: dict[str, Any] = dict(zip(IDS, ids, strict=True)) | {"kept": int(cell.kept.sum())}
        made.append({**line, **_overlaps(cell, same, methods), **facts.of(cell.kept)})
    fields = [("method", pa.string()), ("budget", pa.string()), ("seed", pa.int64())]
    fields += [("limit", pa.int64()), ("cost", pa.string()), ("kept", pa.int64())]
    fields += [(name, pa.float64()) for name in made[0] if name not in (*IDS, "kept")]
    return pa.Table.from_pylist(made, pa.schema(fields))


def _overlaps(
    cell: Cell, others: Iterable[Cell], methods: Sequence[str]
) -> dict[str, float | None]:
    """Overlap and Jaccard index of a choice with those of the same budget, but not with itself."""
    n = int(cell.kept.sum())
    both: dict[str, list[float]] = {method: [] for method in methods}
    jaccard: dict[str, list[float]] = {method: [] for method in methods}
    for other in others:
        if (other.method, other.seed) == (cell.method, cell.seed) == (RANDOM, cell.seed):
            continue
        common = int(np.count_nonzero(cell.kept & other.kept))
        both[other.method].append(common / n)
        jaccard[other.method].append(common / (n + int(other.kept.sum()) - common))
    chance = both[RANDOM]
    return {
        "overlap.random": _mean(both[RANDOM]),
        "overlap.random_low": min(chance, default=None),
        "overlap.random_high": max(chance, default=None),
        "overlap.selection": _mean(both.get(OWN, [])),
        **{f"jaccard.{method}": _mean(found) for method, found in jaccard.items()},
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def lines(table: pa.Table) -> list[dict[str, Any]]:
    """Return a line for each method and budget.

    Every figure is a number, or for random choices its `mean`, `low` and `high` over the seeds.
    """
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in table.to_pylist():
        found.setdefault((line["method"], line["budget"]), []).append(line)
    return [_line(choices) for choices in found.values()]


def _line(choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = choices[0]
    line = {name: first[name] for name in IDS if name != "seed"}
    for name in (name for name in first if name not in IDS):
        values = [choice[name] for choice in choices if choice[name] is not None]
        if first["seed"] is None:
            line[name] = first[name]
        elif values:
            mean, low, high = float(np.mean(values)), min(values), max(values)
            line[name] = {"mean": mean, "low": low, "high": high}
        else:
            line[name] = None
    if first["seed"] is not None and line["overlap.random"]:  # of pairs, not of their means
        ends = {"low": line["overlap.random_low"]["low"]}
        line["overlap.random"] |= ends | {"high": line["overlap.random_high"]["high"]}
    return line
