import numpy as np
import pyarrow as pa
import pytest
from tamis.scorers.checks import check_scorer
from tamis.scorers.selectit import Selectit

LISTS = pa.list_(pa.float32())
SURE = [0.1, 0.1, 0.1, 0.1, 0.6]
EVEN = [0.2] * 5


def rows(*lists, scale=(1, 2, 3, 4, 5), status=None):
    return pa.table(
        {
            "judge.probabilities": pa.array(lists, LISTS),
            "judge.status": status or ["ok"] * len(lists),
            "judge.scale": pa.array([list(scale)] * len(lists), LISTS),
        }
    )


def scores(table, **fields):
    return Selectit(**fields)(table)["score"].to_pylist()


def test_one_wording():
    """5 x (.6 - .1) = 2.5; with the softmax of the released code 5 x .114844 = .574220."""
    assert scores(rows(SURE)) == pytest.approx([2.5], abs=1e-6)
    assert scores(rows(SURE), mode="published") == pytest.approx([0.574220], abs=1e-6)
    assert scores(rows(EVEN)) == pytest.approx([0.0], abs=1e-6)


def test_wordings_that_disagree_count_less():
    """Scores 2.5 and 0: mean 1.25, deviation 1.25, and 1.25 / (1 + .2 x 1.25) = 1."""
    assert scores(rows(SURE + EVEN)) == pytest.approx([1.0], abs=1e-6)
    assert scores(rows(SURE + EVEN), alpha=0) == pytest.approx([1.25], abs=1e-6)
    assert scores(rows(SURE * 5)) == pytest.approx([2.5], abs=1e-6)


def test_more_wordings_than_ratings():
    """The gaps are to the other ratings; the released code takes as many of them as wordings."""
    assert scores(rows([0.1, 0.9] * 3, scale=(1, 2))) == pytest.approx([1.6], abs=1e-6)


def test_several_models():
    table = pa.table(
        {
            "data.small": pa.array([SURE], LISTS),
            "data.large": pa.array([EVEN], LISTS),
        }
    )
    mix = {"data.small": 7 / 20, "data.large": 13 / 20}
    assert scores(table, of=mix) == pytest.approx([7 / 20 * 2.5], abs=1e-6)
    assert scores(table, of="data.small", scale=[0, 1, 2, 3, 4]) == pytest.approx([2.0], abs=1e-6)


def test_rows_without_probabilities():
    table = rows(SURE, None, [0.5, 0.5], [np.nan] * 5, SURE, status=[*["ok"] * 4, "refused"])
    found = Selectit()(table)
    assert found["status"].to_pylist() == ["ok", *["no_rating"] * 3, "refused"]
    assert found["score"].to_pylist() == [pytest.approx(2.5, abs=1e-6), *[None] * 4]


def test_a_scale_rises():
    with pytest.raises(ValueError, match="two rising numbers or more"):
        Selectit(scale=[2, 1])


@pytest.mark.parametrize("mode", ["formula", "published"])
def test_contract(mode):
    check_scorer(Selectit(mode=mode), rows(SURE, EVEN + SURE, None))
