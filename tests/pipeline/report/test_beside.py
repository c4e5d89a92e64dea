import numpy as np
import pyarrow.compute as pc
import pytest
from tamis.pipeline.report.beside import CHOICES, put_beside


def test_rows_and_choices(run, beside):
    assert len(beside.rows) == 119 and beside.n_kept == 20
    assert beside.random.shape == (CHOICES, 119)
    assert beside.random.sum(axis=1).tolist() == [20] * CHOICES
    assert len({tuple(choice) for choice in beside.random.tolist()}) == CHOICES
    assert beside.row_ids.tolist() == [i for i in range(120) if i != 5]
    assert beside.unit == "rows"


def test_every_row_has_its_chance(beside):
    """Over the choices each row is drawn 20 / 119 of the time, give or take."""
    drawn = beside.random.mean(axis=0)
    assert drawn.max() < 0.65 and abs(drawn.mean() - 20 / 119) < 1e-9
    common = [(a & b).sum() for a in beside.random for b in beside.random if a is not b]
    assert np.mean(common) < 8  # 3.4 by chance


def test_the_first_is_what_the_selector_random_keeps(made, beside):
    random = made(selector={"use": "random"}, labels=None)
    kept = random.kept["row_id"].to_pylist()
    assert beside.row_ids[beside.random[0]].tolist() == kept


@pytest.mark.slow
def test_as_many_answer_tokens(made):
    signals = {"length": {"use": "length"}}
    run = made(budget={"rows": 20}, signals=signals)
    lengths = np.concatenate(
        [t["length.answer_chars"].to_numpy() for t in run.tables(["length.answer_chars"])]
    )
    budget = {"limit": 1, "cost": "length.answer_chars"}
    run.__dict__["manifest"] = {**run.manifest, "budget": budget}
    beside = put_beside(run)
    assert beside.unit == "answer tokens"
    most = lengths[beside.kept].sum()
    assert all(lengths[choice].sum() <= most for choice in beside.random)
    shortest = lengths[~beside.random[1]].min()
    assert lengths[beside.random[1]].sum() > most - lengths.max() - shortest


def test_drawn_by_content(beside):
    every = np.ones(119, dtype=bool)
    few, many = beside.drawn(every, 10), beside.drawn(every, 50)
    assert len(few) == 10 and set(few) < set(many) and sorted(many) == many.tolist()
    assert beside.drawn(every, 500).tolist() == list(range(119))


def test_numbers(beside):
    margin = beside.numbers("margin")
    n_null = pc.sum(pc.is_null(beside.rows["margin"])).as_py()
    assert np.isnan(margin).sum() == n_null
