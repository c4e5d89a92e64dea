import numpy as np
import pyarrow as pa
import pytest
from tamis.scorers.checks import check_scorer
from tamis.scorers.paser import Paser

JSD = 0.0664143  # of [.5, .3, .2] and [.2, .3, .5], nats

ROWS = pa.table(
    {
        "divergence.given.jsd_sum": pa.array([JSD, JSD, 0.5, 0.0, None]),
        "divergence.given.jsd_count": pa.array([2, 1, 1, 0, None], pa.int32()),
        "divergence.instruction.jsd_sum": pa.array([JSD, JSD, 0.5, 0.0, None]),
        "divergence.status": ["ok", "truncated", "ok", "ok", "instruction_too_long"],
        "length.instruction_tokens": pa.array([6, 6, 0, 3, 9], pa.int32()),
        "length.answer_tokens": pa.array([4, 4, 1, 1, 9], pa.int32()),
        "length.answer_chars": pa.array([21, 21, 1, 2, 9], pa.int32()),
    }
)


def test_divergence_by_hand():
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    m = (p + q) / 2
    assert (p @ np.log(p / m) + q @ np.log(q / m)) / 2 == pytest.approx(JSD, abs=1e-7)


def test_by_hand():
    """(.0664143 / 2) / ln (6 + 4)^2, and .0664143 / ln (6 + 21)^2."""
    paper, official = Paser()(ROWS), Paser(mode="official")(ROWS)
    assert paper["score"][0].as_py() == pytest.approx(0.00721084, abs=1e-8)
    assert paper["divergence"][0].as_py() == pytest.approx(JSD / 2)
    assert official["score"][0].as_py() == pytest.approx(0.0100755, abs=1e-7)
    assert official["divergence"][0].as_py() == JSD


def test_rows_without_a_score():
    """One token costs nothing; no answer token has no mean; a cut row counts."""
    for mode, fourth in (("paper", "too_few_tokens"), ("official", "ok")):
        found = Paser(mode=mode)(ROWS)
        assert found["status"].to_pylist()[:2] == ["ok", "truncated"]
        assert found["status"].to_pylist()[3:] == [fourth, "instruction_too_long"]
    assert Paser()(ROWS)["status"][2].as_py() == "too_few_tokens"
    assert Paser()(ROWS)["divergence"].to_pylist()[2:] == [None] * 3


def test_longer_rows_score_lower():
    table = ROWS.slice(0, 2).set_column(
        4, "length.instruction_tokens", pa.array([6, 600], pa.int32())
    )
    table = table.set_column(1, "divergence.given.jsd_count", pa.array([2, 2], pa.int32()))
    first, second = Paser()(table)["score"].to_pylist()
    assert first > second > 0


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_contract(mode):
    check_scorer(Paser(mode=mode), ROWS)
