import pytest
from tamis.pipeline import lookup
from tamis.pipeline.doctor.scorer_goldens import GOLDENS, losses, tokens


def test_every_scorer_has_one():
    assert {golden.use for golden in GOLDENS} == set(lookup.names("scorers"))


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.source)
def test_each_names_its_source_and_has_a_number_for_each_row(golden):
    n = len(next(iter(golden.rows.values())))
    assert len(golden.source) > 10
    assert "score" in golden.expected
    for values in (*golden.rows.values(), *golden.expected.values()):
        assert len(values) == n


def test_columns():
    assert losses("base", given=[(2.0, 4)]) == {
        "base.given.token_loss_sum": [2.0],
        "base.given.token_loss_count": [4],
    }
    assert tokens(alone=[[1.0, 2.0]]) == {
        "base.alone.token_loss": [[1.0, 2.0]],
        "base.alone.turns": [[2]],
    }
