import numpy as np
from tamis.pipeline.report.beside import put_beside
from tamis.pipeline.report.lengths import find_lengths
from tamis.pipeline.report.sampling import draw_sample


def test_a_computed_column_knows_all(run, beside):
    lengths = find_lengths(run, beside, draw_sample(run, beside, most=40))
    assert lengths.unit == "characters" and np.isfinite(lengths.values).all()
    assert lengths.values[-39] == 5 * 199_000


def test_else_texts_of_the_sample_are_read(made):
    chosen = {"scorers": {"rated": {"use": "column", "column": "data.rating"}}, "signals": {}}
    run = made(**chosen, selector={"use": "top_k", "by": "rated.score"})
    beside = put_beside(run)
    sample = draw_sample(run, beside, most=40)
    lengths = find_lengths(run, beside, sample)
    assert np.array_equal(np.isfinite(lengths.values), sample.rows)
    places = np.flatnonzero(sample.rows)
    rows = run.rows(beside.row_ids[places].tolist())["messages"].to_pylist()
    assert lengths.values[places].tolist() == [len(m[-1]["content"]) for m in rows]
    assert lengths.of.endswith("parts of the pool drawn")
