from typing import final

import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError
from tamis.stages.base import Stage
from tamis.stages.checks import check_selector, check_stage
from tamis.stages.selectors.base import Budget, Choice, Selector, cut


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


POOL = pa.table({"row_id": [0, 1, 2], "sample_id": ["a", "b", "c"], "x": [1.0, 2.0, 3.0]})


def test_stages():
    check_stage(Good(), POOL)
    with pytest.raises(ContractError, match="depends on the other rows"):
        check_stage(Batchy(), POOL)
    with pytest.raises(ContractError, match="when only that is wanted"):
        check_stage(Historic(), POOL)
    with pytest.raises(ContractError, match="two rows"):
        check_stage(Good(), POOL.slice(0, 1))


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


def test_selectors():
    with pytest.raises(ContractError, match="order of the pool"):
        check_selector(InOrder(), POOL)
    with pytest.raises(ContractError, match="order all 3 rows"):
        check_selector(Half(), POOL)
