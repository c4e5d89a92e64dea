"""The best scores within each group: so much from each source, category or cluster.

With the labels of `clusters` as groups this is, among others,

    CDAS (Lv et al. 2024, arXiv 2408.02193), after a threshold of the IFD below 1:
        fraction: 0.4       the best int(0.4 m) of the m rows that are left of each cluster
    k-means-quality (Yu et al. 2024, arXiv 2409.11378):
        pick: sample        rows drawn one after the other in proportion to exp(score)
        shares: equal       as its code has it; the paper's summary says proportional
    its later rounds:
        shares: rating      shares in proportion to exp(mean of `rating` over the group)

The published code gives each of k clusters int(budget / k) and drops the remainder; here it is
split by largest remainder.
"""

import logging
import math
from typing import Literal, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from ...errors import PlanError
from ...scorers.random import gumbel
from .base import Budget, Choice, Selector, score_schema, scores, share_of

log = logging.getLogger(__name__)

NO_GROUP = "(none)"


@final
class Quota(Selector):
    """Splits the budget over the groups of a column, and keeps each group's best.

    What a small group cannot fill goes to the others, in proportion to their shares. Fractions of a
    row are settled by largest remainder, ties by the name of the group. With a budget in answer
    tokens a group stops before the first of its rows that would go over its share.
    """

    by: str
    column: str = "source"
    """`source`, an input column such as `data.category`, or a label such as `clusters.label`."""
    shares: Literal["proportional", "equal", "rating"] | dict[str, float] = "proportional"
    """By size, equal, by mean rating, or a weight for each group by name (groups without one get
    nothing)."""
    rating: str | None = None
    """With `shares: rating`: the score that is averaged; by default `by`."""
    fraction: float | None = Field(default=None, gt=0, le=1)
    """Keep this share of the rows of each group, rounded down, instead of splitting the budget."""
    pick: Literal["best", "sample"] = "best"
    """Of a group the best scores, or a sample that prefers them: the probability of a row to be
    next is in proportion to exp(score / temperature)."""
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    seed: int | None = None
    """Of the sample."""

    @field_validator("shares")
    @classmethod
    def _weights(cls, shares: str | dict[str, float]) -> str | dict[str, float]:
        if isinstance(shares, dict) and not (
            all(0 <= weight < math.inf for weight in shares.values()) and sum(shares.values()) > 0
        ):
            raise ValueError("weights must be finite and not negative, and one at least positive")
        return shares

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.rating is not None and self.shares != "rating":
            raise ValueError("rating belongs to `shares: rating`")
        if self.fraction is not None and self.shares != "proportional":
            raise ValueError("fraction is of each group; give it or shares, not both")
        if self.temperature != 1 and self.pick != "sample":
            raise ValueError("temperature belongs to `pick: sample`")
        return self

    @property
    def reads(self) -> pa.Schema:
        """The scores and the groups."""
        columns = dict.fromkeys([self.by, self.rating or self.by])
        return score_schema(*columns).append(pa.field(self.column, pa.null()))

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order what the quotas keep before the rest, each by score (or by draw)."""
        values = self._values(pool)
        order = _best_first(pool, values)
        costs = np.ones(len(pool), np.int64) if self.fraction else budget.costs(pool)
        groups = np.array(
            [NO_GROUP if g is None else str(g) for g in pool[self.column].to_pylist()]
        )
        names, member = np.unique(groups, return_inverse=True)
        self._check_groups(names)
        capacity = np.bincount(member, weights=costs, minlength=len(names)).astype(np.int64)
        if self.fraction:
            quotas = np.array([share_of(size, self.fraction) for size in capacity.tolist()])
        else:
            ratings = scores(pool, self.rating or self.by)[order]
            weights = self._weights_of(names, capacity, member[order], ratings)
            quotas = split(budget.limit, weights, capacity)
        kept = np.zeros(len(pool), dtype=bool)
        reason = np.full(len(pool), "", dtype=object)
        margin = np.zeros(len(pool))
        for number, name in enumerate(names):
            own = order[member[order] == number]
            chosen = own[np.cumsum(costs[own]) <= quotas[number]]
            kept[chosen] = True
            reason[own] = f"over the quota: {name}"  # told by group, counted as one
            margin[own] = values[own] - (values[chosen[-1]] if len(chosen) else np.inf)
        order = np.concatenate([order[kept[order]], order[~kept[order]]])
        return Choice(order, int(kept.sum()), reason, margin)

    def _check_groups(self, names: np.ndarray) -> None:
        if not isinstance(self.shares, dict) or not len(names):
            return
        nobody = sorted(set(self.shares) - set(names.tolist()))
        there = ", ".join(names[:20].tolist())
        if len(nobody) == len(self.shares):
            raise PlanError(f"quota: no row has a {self.column} of the shares; there are {there}")
        if nobody:
            log.warning("quota: no row left has the %s %s", self.column, ", ".join(nobody))

    def _values(self, pool: pa.Table) -> np.ndarray:
        """What rows of a group are compared by."""
        values = scores(pool, self.by)
        if self.pick == "sample":
            values = values / self.temperature + gumbel(self.seed or 0, pool["sample_id"])
        return values

    def _weights_of(
        self, names: np.ndarray, capacity: np.ndarray, member: np.ndarray, ratings: np.ndarray
    ) -> np.ndarray:
        if isinstance(self.shares, dict):
            return np.array([self.shares.get(name, 0.0) for name in names])
        if self.shares == "rating":  # members come by value, so that sums are of any order
            return softmax(np.bincount(member, ratings) / np.bincount(member))
        return capacity.astype(float) if self.shares == "proportional" else np.ones(len(names))


def softmax(values: np.ndarray) -> np.ndarray:
    """Return exp(values) scaled to a sum of 1."""
    raised = np.exp(values - values.max(initial=-np.inf))
    weights: np.ndarray = raised / raised.sum()
    return weights


def split(total: int, weights: np.ndarray, capacity: np.ndarray) -> np.ndarray:
    """Return whole quotas that sum to `total`, or to all that fits.

    Args:
        total: what is to be split.
        weights: (groups,) not negative.
        capacity: (groups,) the most that each group can take.
    """
    quotas = np.zeros(len(weights), dtype=np.int64)
    while True:
        rest = total - int(quotas.sum())
        open_weights = np.where(quotas < capacity, weights, 0.0)
        if rest <= 0 or open_weights.sum() <= 0:
            return quotas
        exact = rest * open_weights / open_weights.sum()
        whole = np.floor(exact).astype(np.int64)
        left = rest - int(whole.sum())
        whole[np.argsort(whole - exact, kind="stable")[:left]] += 1
        quotas = np.minimum(quotas + whole, capacity)


def _best_first(pool: pa.Table, values: np.ndarray) -> np.ndarray:
    """The places of all rows, largest value first; ties by sample_id, then row_id."""
    table = pool.select(["sample_id", "row_id"]).append_column("value", pa.array(values))
    keys = [("value", "descending"), ("sample_id", "ascending"), ("row_id", "ascending")]
    return np.asarray(pc.sort_indices(table, sort_keys=keys), dtype=np.int64)
