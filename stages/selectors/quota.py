"""The best scores within each group: so much from each source, category or cluster.

With the labels of `clusters` as groups this is, among others,

    CDAS (Lv et al. 2024, arXiv 2408.02193), after a threshold of the IFD below 1:
        fraction: 0.4       the best int(0.4 m) of the m rows that are left of each cluster
    k-means-quality (Yu et al. 2024, arXiv 2409.11378):
        pick: sample        rows drawn one after the other in proportion to exp(score)
        shares: equal       as its code has it; the paper's summary says proportional
    its later rounds:
        shares: rating      shares in proportion to exp(mean of `rating` over the group)

With two columns the budget is split over the groups of the first, and the part of each over the
groups of the second inside it, as DataMan (Peng et al. 2025, arXiv 2502.19363) splits a budget in
tokens by source, then by domain. Its code fills a cell of too few rows with copies of them; here a
row is kept once, and what a cell cannot take goes to others of its source, then to other sources.

The published code of k-means-quality gives each of k clusters int(budget / k) and drops the
remainder; here it is split by largest remainder.
"""

import logging
import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from ...errors import PlanError
from ...scorers.random import gumbel
from .base import Budget, Choice, Growth, Selector, by_value, score_schema, scores, share_of
from .groups import groups_of

log = logging.getLogger(__name__)

Levels = Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]

NO_GROUP = "(none)"


@final
class Quota(Selector):
    """Splits the budget over the groups of a column, and keeps each group's best.

    Rows without a value in the column are a group too, `(none)`. What a small group cannot fill
    goes to the others, in proportion to their shares. Fractions of a row are settled by largest
    remainder, ties by the name of the group. With a budget in answer tokens a group stops before
    the first of its rows that would go over its share; of a group without one nothing is kept.
    """

    version: ClassVar[int] = 2
    words: ClassVar[Mapping[str, str]] = {
        "over the quota": "the better rows of its group {detail} fill the quota of that group"
    }

    by: str
    column: str | Levels = "source"
    """`source`, an input column such as `data.category`, or a label such as `clusters.label`; or a
    list of two: the groups of the second are inside those of the first."""
    shares: Literal["proportional", "equal", "rating"] | dict[str, float] = "proportional"
    """By size, equal, by mean rating, or a weight for each group by name (groups without one get
    nothing). `groups` says how groups are named."""
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
            all(0 <= weight < math.inf for weight in shares.values()) and any(shares.values())
        ):
            raise ValueError("weights must be finite and not negative, and one at least positive")
        return shares

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.rating is not None and self.shares != "rating":
            raise ValueError("rating belongs to `shares: rating`")
        if isinstance(self.shares, dict) and len(self._columns) > 1:
            raise ValueError("weights by name are of one column; with two take a word for shares")
        if len(set(self._columns)) < len(self._columns):
            raise ValueError("column is the same twice")
        if self.fraction is not None and self.shares != "proportional":
            raise ValueError("fraction is of each group; give it or shares, not both")
        if self.temperature != 1 and self.pick != "sample":
            raise ValueError("temperature belongs to `pick: sample`")
        return self

    @property
    def growth(self) -> Growth:
        """A fraction of each group stays; shares of a budget are split anew."""
        return "never" if self.fraction else "anew"

    @property
    def reads(self) -> pa.Schema:
        """The scores and the groups."""
        columns = dict.fromkeys([self.by, self.rating or self.by])
        groups = [(column, pa.null()) for column in self._columns]
        return pa.schema([*score_schema(*columns), *groups])

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order what the quotas keep before the rest, each by score (or by draw)."""
        values = self._values(pool)
        order = by_value(pool, values)
        costs = np.ones(len(pool), np.int64) if self.fraction else budget.costs(pool)
        names, member, upper = self._groups(pool)
        self._check_groups(names)
        capacity = np.bincount(member, weights=costs, minlength=len(names)).astype(np.int64)
        if self.fraction:
            quotas = np.array([share_of(size, self.fraction) for size in capacity.tolist()], int)
        else:
            ratings = scores(pool, self.rating or self.by)[order]
            quotas = self._quotas(budget.limit, names, (member[order], upper), capacity, ratings)
        each = order[np.argsort(member[order], kind="stable")]  # group by group, best first
        own = member[each]
        before = np.cumsum(capacity) - capacity  # the costs of the groups in front
        chosen = each[(np.cumsum(costs[each]) - before[own] <= quotas[own]) & (quotas[own] > 0)]
        kept = np.zeros(len(pool), dtype=bool)
        kept[chosen] = True
        last = np.full(len(names), np.inf)
        np.minimum.at(last, member[chosen], values[chosen])
        # told by group, counted as one
        reasons = np.array([f"over the quota: {name}" for name in names], dtype=object)
        order = np.concatenate([order[kept[order]], order[~kept[order]]])
        return Choice(order, int(kept.sum()), reasons[member], values - last[member])

    @property
    def _columns(self) -> Levels:
        return (self.column,) if isinstance(self.column, str) else self.column

    def _groups(self, pool: pa.Table) -> tuple[list[str], np.ndarray, np.ndarray]:
        """The names of the groups, each row's place among them, and of each the one it is in."""
        names, member = groups_of(pool[self._columns[0]], NO_GROUP)
        if len(self._columns) == 1:
            return names, member, np.zeros(len(names), np.int64)
        inner, own = groups_of(pool[self._columns[1]], NO_GROUP)
        cells, member = np.unique(member * max(len(inner), 1) + own, return_inverse=True)
        upper, lower = np.divmod(cells, max(len(inner), 1))
        pairs = zip(upper.tolist(), lower.tolist(), strict=True)
        return [f"{names[one]} / {inner[other]}" for one, other in pairs], member, upper

    def _quotas(
        self,
        total: int,
        names: list[str],
        groups: tuple[np.ndarray, np.ndarray],
        capacity: np.ndarray,
        ratings: np.ndarray,
    ) -> np.ndarray:
        """What each group gets: the share of the group that it is in, split once more."""
        member, upper = groups
        logs = self.shares == "rating"
        weights = self._weights_of(names, capacity, member, ratings)
        if len(self._columns) == 1:
            return split(total, weights, capacity, logs)
        size = np.bincount(upper, weights=capacity).astype(np.int64)
        outer = self._weights_of([], size, upper[member], ratings)
        quotas = np.zeros(len(names), np.int64)
        for group, share in enumerate(split(total, outer, size, logs).tolist()):
            own = upper == group
            quotas[own] = split(share, weights[own], capacity[own], logs)
        return quotas

    def _check_groups(self, names: list[str]) -> None:
        if not isinstance(self.shares, dict) or not names:
            return
        nobody = sorted(set(self.shares) - set(names))
        there = ", ".join(names[:20])
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
        self, names: list[str], capacity: np.ndarray, member: np.ndarray, ratings: np.ndarray
    ) -> np.ndarray:
        """The weight of each group; with `shares: rating` its logarithm."""
        if isinstance(self.shares, dict):
            return np.array([self.shares.get(name, 0.0) for name in names])
        if self.shares == "rating":  # members come by value, so that sums are of any order
            return np.bincount(member, ratings) / np.bincount(member)
        return capacity.astype(float) if self.shares == "proportional" else np.ones(len(capacity))


def split(total: int, weights: np.ndarray, capacity: np.ndarray, logs: bool = False) -> np.ndarray:
    """Return whole quotas that sum to `total`, or to all that fits.

    What a group cannot take goes to those that have room, again in proportion to their weights.

    Args:
        total: what is to be split.
        weights: (groups,) not negative; or with `logs` their natural logarithms.
        capacity: (groups,) the most that each group can take.
        logs: a weight is exp of what is given, and none is 0, however small it may be.
    """
    quotas = np.zeros(len(weights), dtype=np.int64)
    while True:
        rest = total - int(quotas.sum())
        room = np.flatnonzero((quotas < capacity) & (logs | (weights > 0)))
        if rest <= 0 or not len(room):
            return quotas
        shares = _shares(weights[room], logs)
        exact = rest * shares / shares.sum()
        whole = np.floor(exact).astype(np.int64)
        left = rest - int(whole.sum())
        whole[np.argsort(whole - exact, kind="stable")[:left]] += 1
        quotas[room] = np.minimum(quotas[room] + whole, capacity[room])


def _shares(weights: np.ndarray, logs: bool) -> np.ndarray:
    """Weights or their logarithms, scaled so that their sum is a number."""
    if logs:
        return np.asarray(np.exp(weights - weights.max()))
    return np.asarray(np.ldexp(weights, -np.frexp(weights.max())[1]))  # exactly, by a power of 2
