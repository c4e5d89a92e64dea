"""The best scores within each group: so much from each source, category or cluster."""

import logging
import math
from typing import Literal, final

import numpy as np
import pyarrow as pa
from pydantic import field_validator

from ...errors import PlanError
from .base import Budget, Choice, Selector, by_score, score_schema, scores

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
    """`source`, or an input column such as `data.category`."""
    shares: Literal["proportional", "equal"] | dict[str, float] = "proportional"
    """By size, equal, or a weight for each group by name (groups without one get nothing)."""

    @field_validator("shares")
    @classmethod
    def _weights(cls, shares: str | dict[str, float]) -> str | dict[str, float]:
        if isinstance(shares, dict) and not (
            all(0 <= weight < math.inf for weight in shares.values()) and sum(shares.values()) > 0
        ):
            raise ValueError("weights must be finite and not negative, and one at least positive")
        return shares

    @property
    def reads(self) -> pa.Schema:
        """The score and the groups."""
        return score_schema(self.by).append(pa.field(self.column, pa.null()))

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order what the quotas keep before the rest, each by score."""
        order, values = by_score(pool, self.by), scores(pool, self.by)
        costs = budget.costs(pool)
        groups = np.array(
            [NO_GROUP if g is None else str(g) for g in pool[self.column].to_pylist()]
        )
        names, member = np.unique(groups, return_inverse=True)
        self._check_groups(names)
        capacity = np.bincount(member, weights=costs, minlength=len(names)).astype(np.int64)
        quotas = split(budget.limit, self._weights_of(names, capacity), capacity)
        kept = np.zeros(len(pool), dtype=bool)
        reason = np.full(len(pool), "", dtype=object)
        margin = np.zeros(len(pool))
        for number, name in enumerate(names):
            own = order[member[order] == number]
            chosen = own[np.cumsum(costs[own]) <= quotas[number]]
            kept[chosen] = True
            reason[own] = f"over the quota of {name}"
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

    def _weights_of(self, names: np.ndarray, capacity: np.ndarray) -> np.ndarray:
        if isinstance(self.shares, dict):
            return np.array([self.shares.get(name, 0.0) for name in names])
        return capacity.astype(float) if self.shares == "proportional" else np.ones(len(names))


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
