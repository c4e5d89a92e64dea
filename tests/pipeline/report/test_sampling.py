import numpy as np
from tamis.pipeline.report.sampling import draw_sample


def test_small_pools_are_read_whole(run, beside):
    sample = draw_sample(run, beside)
    assert sample.rows.all() and len(sample.parts) == 8  # of 16 rows
    assert sample.describe() == "all 119 usable rows"


def test_of_larger_ones_parts_are_drawn(run, beside):
    sample = draw_sample(run, beside, most=40)
    assert len(sample.parts) == 2 and 30 <= sample.rows.sum() <= 32
    ids = beside.row_ids[sample.rows]
    parts = {row // 16 * 16 for row in ids.tolist()}
    assert parts == {part.first for part in sample.parts}
    assert "rows, in 2 parts of the pool drawn" in sample.describe()
    again = draw_sample(run, beside, most=40)
    assert np.array_equal(again.rows, sample.rows)
    assert len(draw_sample(run, beside, most=1).parts) == 1
