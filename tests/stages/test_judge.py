from typing import final

import pyarrow as pa
import pyarrow.compute as pc
from tamis.stages.checks import check_stage
from tamis.stages.filters.base import Filter
from tamis.stages.judge import Judge


@final
class AboveMean(Filter):
    by: float = 0.0

    @property
    def reads(self):
        return pa.schema([("x", pa.float64())])

    @property
    def details(self):
        return pa.schema([("over", pa.float64())])

    @property
    def fits_pool(self):
        return True

    def fit(self, pool):
        return pa.table({"mean": [pc.mean(pa.concat_tables(pool)["x"]).as_py()]})

    def judge(self, rows, fitted=None):
        over = pc.subtract(rows["x"], fitted["mean"][0])
        return pa.table(
            {"reason": pc.if_else(pc.greater(over, self.by), "high", None), "over": over}
        )


ROWS = pa.table({"x": [1.0, 2.0, 6.0]})


def test_runs_the_filter_with_what_was_fitted():
    stage = Judge(filter=AboveMean(by=1.0))
    assert stage.fits_pool and stage.reads.names == ["x"]
    assert stage.adds.names == ["reason", "over"]
    assert stage.identity() == {"by": 1.0}
    found = stage.fitted_with(stage.known([ROWS], {}))(ROWS, ["reason", "over"])
    assert found.to_pydict() == {"reason": [None, None, "high"], "over": [-2.0, -1.0, 3.0]}


def test_contract():
    check_stage(Judge(filter=AboveMean()), ROWS)
