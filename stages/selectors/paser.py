"""PASER: more of the clusters that pruning harmed most, the most efficient rows of each first.

    n_k = floor(B CDS_k / sum CDS)      CDS_k: mean divergence of the rows of cluster k

He et al. 2025, arXiv 2502.12594, eq. 6. Cluster by cluster, in the order of their labels, rows are
taken by score (`scorers.paser`), best first, until the cluster has its share; a row whose concepts
conflict with those of the rows taken so far (`concept_graph`) is passed over. The ledger says which
two concepts it was, and of a kept row its cluster.

As published, the fractions of rows are lost, and what a cluster cannot fill. `split:
largest_remainder` gives the rows that are lost so to the clusters with the largest fractions. With
`refill` what is left in the end is split over the clusters that have rows left, again and again,
until there is nothing left of the one or the other; rows that were passed over stay so. Where only
clusters of CDS 0 have rows left, these share by what is left of them.

CDS is over the rows that reach this selector. With a budget in answer tokens a cluster ends before
the first of its rows that would go over its share; with `refill` all do where no share holds one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, final

import numpy as np
import pyarrow as pa

from ...errors import PlanError
from .base import OVER_BUDGET, Budget, Choice, Selector, by_score, scores
from .concept_graph import ConceptGraph
from .quota import split as split_over

NO_CLUSTER = "no cluster"


@final
class Paser(Selector):
    """Splits the budget over clusters by their degradation, and takes rows that do not conflict."""

    version: ClassVar[int] = 2
    words: ClassVar[Mapping[str, str]] = {
        NO_CLUSTER: "it belongs to no cluster, and shares go to clusters",
        "over the share": "the better rows {detail} fill the share of that cluster",
        "conflicting concepts": "two of its concepts conflict with those of rows taken before: "
        "{detail}",
        "cluster": "it is within the share of cluster {detail}",
    }

    scorer: str = "paser"
    """Gives score and divergence."""
    clusters: str = "clusters"
    """The signal whose labels say the cluster: spectral, or any other with a `label`."""
    concepts: str | None = "concepts"
    """The signal of the concepts; null: no row conflicts."""
    split: Literal["floor", "largest_remainder"] = "floor"
    refill: bool = False
    lone: bool = False
    """The concept of a row with no other goes into the graph as well."""

    @property
    def reads(self) -> pa.Schema:
        """Score, divergence, cluster and concepts."""
        fields = [
            (f"{self.scorer}.score", pa.float32()),
            (f"{self.scorer}.divergence", pa.float64()),
            (f"{self.clusters}.label", pa.int32()),
        ]
        if self.concepts is not None:
            fields.append((f"{self.concepts}.concepts", pa.list_(pa.string())))
        return pa.schema(fields)

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Walk over the clusters; kept rows by score before the others.

        Raises:
            PlanError: no row has a cluster, the models differ nowhere, or no share holds a row.
        """
        by = f"{self.scorer}.score"
        order, values = by_score(pool, by), scores(pool, by)
        labels = np.asarray(pool[f"{self.clusters}.label"].fill_null(-1).to_numpy())
        reason = np.full(len(pool), OVER_BUDGET, dtype=object)
        reason[labels < 0] = NO_CLUSTER
        walk = _Walk(
            [order[labels[order] == label] for label in range(labels.max(initial=-1) + 1)],
            budget.costs(pool),
            None if self.concepts is None else pool[f"{self.concepts}.concepts"],
            ConceptGraph(self.lone),
            reason,
        )
        if len(pool):
            degradations = degradation(pool[f"{self.scorer}.divergence"].to_numpy(), labels)
            self._walk(walk, degradations, budget.limit)
        kept = np.zeros(len(pool), dtype=bool)
        margin, pulled = np.full(len(pool), np.nan), np.full(len(pool), "", dtype=object)
        for label, (rows, taken) in enumerate(zip(walk.rows, walk.taken, strict=True)):
            kept[taken] = True
            over = rows[reason[rows] == OVER_BUDGET]
            margin[over] = values[over] - (values[taken[-1]] if taken else np.inf)
            reason[over] = f"over the share: of cluster {label}"
            pulled[taken] = f"cluster: {label}"
        order = np.concatenate([order[kept[order]], order[~kept[order]]])
        return Choice(order, int(kept.sum()), reason, margin, pulled=pulled)

    def _walk(self, walk: "_Walk", degradations: np.ndarray, limit: int) -> None:
        """Take rows until the shares are filled, and with `refill` until nothing is left."""
        if not len(degradations):
            raise PlanError(f"paser: no row has a {self.clusters}.label")
        if not degradations.sum() > 0:
            raise PlanError(
                f"paser: {self.scorer}.divergence is 0 in every row: the two models say the same"
            )
        walk.take(shares(limit, degradations, self.split))
        while self.refill:
            looked_at, left = sum(walk.next), walk.left()
            weights = degradations if degradations[left > 0].any() else left.astype(float)
            walk.take(split_over(limit - walk.spent, weights, left))
            if sum(walk.next) == looked_at:
                break
        if limit and not any(walk.taken):
            raise PlanError(
                f"paser: nothing is kept, as the budget of {limit} gives none of "
                f"{len(degradations)} clusters a share that holds a row; take a larger budget, or "
                f"{self._more()}"
            )

    def _more(self) -> str:
        """What would give larger shares."""
        if self.split == "floor" and not self.refill:
            return "`split: largest_remainder`, or `refill: true`"
        return "fewer clusters"


@dataclass
class _Walk:
    """How far each cluster has been gone through.

    Attributes:
        rows: places of the rows of each cluster, best first.
        costs: (rows of the pool,) of the budget.
        concepts: of each row of the pool, or None.
        graph: of the concepts of the rows taken.
        reason: (rows of the pool,) conflicts are written into it.
        next, taken, spent: how many rows of each cluster were looked at; those taken; their cost.
    """

    rows: list[np.ndarray]
    costs: np.ndarray
    concepts: pa.ChunkedArray | None
    graph: ConceptGraph
    reason: np.ndarray
    next: list[int] = field(init=False)
    taken: list[list[int]] = field(init=False)
    spent: int = 0

    def __post_init__(self) -> None:
        self.next, self.taken = [0] * len(self.rows), [[] for _ in self.rows]

    def left(self) -> np.ndarray:
        """Return what the rows cost that each cluster has not looked at, (clusters,) int64."""
        rest = (rows[place:] for rows, place in zip(self.rows, self.next, strict=True))
        return np.array([self.costs[rows].sum() for rows in rest], dtype=np.int64)

    def take(self, quotas: np.ndarray) -> None:
        """Take rows of each cluster, up to so much more of the budget."""
        for label, rows in enumerate(self.rows):
            quota = int(quotas[label])
            for row in rows[self.next[label] :].tolist():
                if self.costs[row] > quota or quota == 0:
                    break
                self.next[label] += 1
                if self._accepts(row):
                    self.taken[label].append(row)
                    quota -= int(self.costs[row])
                    self.spent += int(self.costs[row])

    def _accepts(self, row: int) -> bool:
        if self.concepts is None:
            return True
        concepts = self.concepts[row].as_py() or []
        conflict = self.graph.conflict(concepts)
        if conflict:
            self.reason[row] = f"conflicting concepts: {conflict[0]} | {conflict[1]}"
            return False
        self.graph.add(concepts)
        return True


def degradation(divergence: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return CDS, the mean divergence of each cluster, (clusters,) float64; 0 of an empty one.

    The sums are exact, so that the order of the rows does not matter.

    Args:
        divergence: (rows,) at least 0.
        labels: (rows,) from 0; below 0: none.
    """
    order = np.argsort(labels, kind="stable")
    n = np.bincount(labels[labels >= 0])
    ends = len(labels) - n.sum() + np.cumsum(n)
    groups = [divergence[order[end - size : end]] for end, size in zip(ends, n, strict=True)]
    return np.array([max(math.fsum(own), 0.0) / max(len(own), 1) for own in groups])


def shares(limit: int, degradations: np.ndarray, rule: str) -> np.ndarray:
    """Return the share of the budget of each cluster, (clusters,) int64.

    Args:
        limit: of the budget.
        degradations: (clusters,) CDS, one at least above 0.
        rule: floor, or largest_remainder.
    """
    if rule == "largest_remainder":
        return split_over(limit, degradations, np.full(len(degradations), limit))
    exact = limit * degradations / math.fsum(degradations)
    return np.floor(np.round(exact, 6)).astype(np.int64)  # whatever binary says of 1/10
