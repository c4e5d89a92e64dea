from typing import final

import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError
from tamis.stages.base import Stage
from tamis.stages.checks import check_selector, check_stage
from tamis.stages.selectors.base import Budget, Choice, Selector, by_value, cut


class Base(Stage):
    @property
    def reads(self):
        return pa.schema([("x", pa.float64())])

    @property
    def adds(self):
        return pa.schema([("y", pa.float64()), ("z", pa.float64())])


@final
class Good(Base):
    def run(self, rows, wanted):
        return pa.table({name: rows["x"] for name in wanted})


@final
class Batchy(Base):
    def run(self, rows, wanted):
        return pa.table({name: pa.array([float(len(rows))] * len(rows)) for name in wanted})


@final
class Historic(Base):
    def run(self, rows, wanted):
        return pa.table({name: pa.array([float(len(wanted))] * len(rows)) for name in wanted})


@final
class FromMean(Base):
    """Distance to the pool's mean; may count parts, which it must not, or work in rounds."""

    counts_parts: bool = False
    rounds: int = 1

    @property
    def fits_pool(self):
        return True

    @property
    def n_rounds(self):
        return self.rounds

    def fit(self, pool):
        parts = [table["x"].to_numpy() for table in pool]
        return pa.table({"mean": [np.concatenate(parts).mean() + len(parts) * self.counts_parts]})

    def run(self, rows, wanted):
        found = rows["x"].to_numpy() - self._fitted["mean"][0].as_py()
        return pa.table({name: found for name in wanted})


POOL = pa.table({"row_id": [0, 1, 2], "sample_id": ["a", "b", "c"], "x": [1.0, 2.0, 3.0]})


def test_stages():
    check_stage(Good(), POOL)
    with pytest.raises(ContractError, match="depends on the other rows"):
        check_stage(Batchy(), POOL)
    with pytest.raises(ContractError, match="when only that is wanted"):
        check_stage(Historic(), POOL)
    with pytest.raises(ContractError, match="two rows"):
        check_stage(Good(), POOL.slice(0, 1))


def test_stages_that_see_the_whole_pool():
    check_stage(FromMean(), POOL)
    with pytest.raises(ContractError, match=r"FromMean\.fit depends on how the pool is cut"):
        check_stage(FromMean(counts_parts=True), POOL)
    with pytest.raises(ContractError, match="cannot work in 2 rounds"):
        check_stage(FromMean(rounds=2), POOL)


@final
class InOrder(Selector):
    @property
    def reads(self):
        return pa.schema([])

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        return cut(np.arange(len(pool)), min(budget.limit, len(pool)), np.zeros(len(pool)))


@final
class Half(Selector):
    @property
    def reads(self):
        return pa.schema([])

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        return cut(np.arange(len(pool) // 2), 0, np.zeros(len(pool)))


@final
class ByBudget(Selector):
    """Says that it does not go by the budget, and does."""

    @property
    def growth(self):
        return "never"

    @property
    def reads(self):
        return pa.schema([])

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        order = by_value(pool, np.zeros(len(pool)))
        return cut(order, min(budget.limit, len(pool)), np.zeros(len(pool)))


def test_a_selector_goes_with_the_budget_as_it_says():
    with pytest.raises(ContractError, match="growth is 'never', but another budget changes"):
        check_selector(ByBudget(), POOL, limit=1)


def test_selectors():
    with pytest.raises(ContractError, match="order of the pool"):
        check_selector(InOrder(), POOL)
    with pytest.raises(ContractError, match="order all 3 rows"):
        check_selector(Half(), POOL)
