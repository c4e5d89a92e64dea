import numpy as np
import pyarrow as pa
import pytest
from tamis.scorers.checks import check_scorer
from tamis.scorers.grape import Grape

A, B, C = [0.5] * 4, [0.2, 0.2, 0.2, 1.0, 0.2], [0.9]


def rows(*losses, **columns):
    table = {
        "base.given.token_loss_sum": [float(sum(own)) for own in losses],
        "base.given.token_loss_count": pa.array([len(own) for own in losses], pa.int32()),
        "base.given.status": ["ok"] * len(losses),
        "base.status": ["ok"] * len(losses),
    }
    return pa.table(table | columns)


def scores(scorer, table):
    return scorer(table)["score"].to_pylist()


def test_golden():
    found = scores(Grape(min_tokens=0), rows(A, B, C))
    assert found == pytest.approx([0.606531, 0.697676, 0.406570], abs=1e-6)
    assert int(np.argmax(found)) == 1  # a rule of sums would pick the third: .9 against 1.8 and 2
    assert np.argmin([sum(own) for own in (A, B, C)]) == 2


def test_a_short_answer_does_not_win():
    made = Grape()(rows([0.01], B, [0.3] * 5))
    assert made["status"].to_pylist() == ["below_floor", "ok", "ok"]
    assert made["score"].to_pylist()[0] is None


def test_a_floor_of_quality():
    quality = {
        "rated.score": pa.array([0.1, 0.099, None, 5.0], pa.float32()),
        "rated.status": ["ok", "ok", "not_a_number", "ok"],
    }
    made = Grape(quality="rated.score", at_least=0.1)(rows(B, B, B, B[:4], **quality))
    assert made["status"].to_pylist() == ["ok", "below_floor", "not_a_number", "below_floor"]


def test_settings():
    with pytest.raises(ValueError, match="belong together"):
        Grape(quality="rated.score")
    with pytest.raises(ValueError, match=r"such as rated\.score, not 'data\.rating'"):
        Grape(quality="data.rating", at_least=3)


def test_contract():
    check_scorer(Grape(), rows(A, B, C, [0.1] * 9))
