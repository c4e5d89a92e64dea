"""A sample that prefers high scores: rows drawn one after the other, none twice.

    the next row is x with a probability in proportion to exp(score(x) / temperature)

which is the order of score / temperature + a draw from the Gumbel distribution, largest first.
With the log weights of `dsir` as the score this is DSIR (Xie et al. 2023, arXiv 2302.03169), with
ratings QuRating's sample (Wettig et al. 2024, arXiv 2402.09739), there at a temperature of 1 to 2.
A row's draw is a hash of seed and content: it depends on no other row, and copies share it.

By a list of one score for each of several targets, such as `dsir.by_target`, each target has its
share of the budget, by the size of the targets unless `shares` says otherwise. They draw in their
order, and what one has drawn is gone for the next, as in DSIR's code.

With `replacement` a row may be drawn several times, as TSDS does it (Liu et al. 2024, arXiv
2410.11303): the budget then is how often is drawn, and the distinct rows are kept, which are fewer.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal, Self, final

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from ...errors import PlanError
from ...scorers.random import gumbel
from .base import (
    KEPT_WORDS,
    OVER_BUDGET,
    Budget,
    Choice,
    Growth,
    Selector,
    by_value,
    cut,
    score_schema,
    scores,
)
from .queries import numbers
from .quota import split
from .vectors import even

NOT_DRAWN = "not drawn"


@final
class Sample(Selector):
    """Keeps a seeded random sample that prefers high scores."""

    words: ClassVar[Mapping[str, str]] = {
        KEPT_WORDS: "its score and its draw together are among the highest",
        "target": "it was drawn for the target {detail}",
        "drawn": "it was drawn {detail} times",
        NOT_DRAWN: "it was never drawn",
    }

    by: str
    """A score, or a list column with one for each target, such as `dsir.by_target`."""
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Scores are divided by it: near 0 the best are kept, far above 1 all rows are alike."""
    shares: Literal["size", "equal"] | tuple[float, ...] = "size"
    """Of the targets of a list column: by the size that its scorer says (`size_by_target`), equal,
    or a weight for each in their order."""
    replacement: bool = False
    """Draw as often as the budget has rows, each time from all."""
    seed: int | None = None

    @model_validator(mode="after")
    def _settled(self) -> Self:
        if self.replacement and self.of_targets:
            raise ValueError("replacement belongs to a single score, not to a list of them")
        if self.shares != "size" and not self.of_targets:
            raise ValueError("shares belongs to a list with one score for each target")
        if not isinstance(self.shares, str):
            fit = all(math.isfinite(share) and share >= 0 for share in self.shares)
            if not fit or not any(self.shares):
                raise ValueError(
                    f"shares must be weights, finite, not negative and not all 0, not "
                    f"{list(self.shares)}"
                )
        return self

    @property
    def of_targets(self) -> bool:
        """Whether there is a score for each target."""
        return not self.by.endswith(".score")

    @property
    def growth(self) -> Growth:
        """The order of the draws stays, but not with replacement, nor where targets share."""
        return "anew" if self.replacement or self.of_targets else "by rank"

    @property
    def reads(self) -> pa.Schema:
        """The score, or those of the targets and their sizes."""
        if not self.of_targets:
            return score_schema(self.by)
        scorer, lists = self.by.partition(".")[0], pa.list_(pa.float32())
        own = score_schema(f"{scorer}.score").append(pa.field(self.by, lists))
        return own.append(pa.field(self._sizes, lists)) if self.shares == "size" else own

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order as drawn; rows that were not drawn follow in the order that they would come."""
        if self.of_targets:
            return self._for_targets(pool, budget)
        values = scores(pool, self.by) / self.temperature
        if self.replacement:
            return self._again_and_again(pool, budget, values)
        values = values + gumbel(self.seed or 0, pool["sample_id"])
        order = by_value(pool, values)
        return cut(order, budget.fits(pool, order), values)

    @property
    def _sizes(self) -> str:
        return f"{self.by.partition('.')[0]}.size_by_target"

    def _for_targets(self, pool: pa.Table, budget: Budget) -> Choice:
        values = numbers(pool, self.by).astype(np.float64) / self.temperature
        for target in range(values.shape[1]):  # each draws for itself
            values[:, target] += gumbel((self.seed or 0) + (target << 64), pool["sample_id"])
        costs = budget.costs(pool)
        quotas = self._quotas(pool, budget, values.shape[1])
        left = np.ones(len(pool), dtype=bool)
        pulled = np.full(len(pool), "", dtype=object)
        drawn = [np.zeros(0, np.int64)]
        for target, quota in enumerate(quotas.tolist()):
            order = by_value(pool, values[:, target])
            order = order[left[order]]
            own = order[np.cumsum(costs[order]) <= quota] if quota else order[:0]
            left[own], pulled[own] = False, f"target: {target}"
            drawn.append(own)
        kept = np.concatenate(drawn)
        rest = by_value(pool, values.max(1, initial=-np.inf))
        order = np.concatenate([kept, rest[left[rest]]])
        reason = np.full(len(pool), OVER_BUDGET, dtype=object)
        return Choice(order, len(kept), reason, np.full(len(pool), np.nan), pulled=pulled)

    def _quotas(self, pool: pa.Table, budget: Budget, n: int) -> np.ndarray:
        """What each target may spend."""
        if not len(pool):
            return np.zeros(n, np.int64)
        if self.shares == "size":
            weights = numbers(pool.slice(0, 1), self._sizes)[0].astype(np.float64)
        else:
            weights = np.ones(n) if self.shares == "equal" else np.array(self.shares)
        if len(weights) != n:
            raise PlanError(
                f"sample: shares must be {n} weights, one for each target of {self.by}, not "
                f"{weights.tolist()}"
            )
        whole = int(budget.costs(pool).sum())
        return split(min(budget.limit, whole), weights, np.full(n, whole))

    def _again_and_again(self, pool: pa.Table, budget: Budget, values: np.ndarray) -> Choice:
        """Draw with replacement, over the rows by sample_id."""
        if budget.cost is not None:
            raise PlanError("sample: with replacement the budget is how often is drawn, in rows")
        rows = even(pool)
        weights = np.exp(values[rows] - values.max(initial=-np.inf))
        times = np.zeros(len(pool), np.int64)
        if len(pool):
            generator = np.random.Generator(np.random.PCG64((self.seed or 0) % (1 << 64)))
            times[rows] = generator.multinomial(budget.limit, weights / weights.sum())
        order = by_value(pool, values)
        order = order[np.argsort(-times[order], kind="stable")]
        pulled = np.array([f"drawn: {n}" for n in times.tolist()], dtype=object)
        reason = np.full(len(pool), NOT_DRAWN, dtype=object)
        kept = int(np.count_nonzero(times))
        return Choice(order, kept, reason, np.full(len(pool), np.nan), pulled=pulled)
