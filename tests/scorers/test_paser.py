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
        "divergence.given.status": ["ok", "ok", "ok", "ok", None],
        "divergence.instruction_tokens": pa.array([6, 6, 0, 3, 9], pa.int32()),
        "divergence.answer_tokens": pa.array([4, 4, 1, 1, 9], pa.int32()),
        "divergence.status": ["ok", "truncated", "ok", "ok", "instruction_too_long"],
        "length.instruction_tokens": pa.array([6, 6, 0, 3, 9], pa.int32()),
        "length.answer_tokens": pa.array([40, 4, 1, 1, 9], pa.int32()),
        "length.answer_chars": pa.array([21, 21, 1, 2, 9], pa.int32()),
    }
)


OFFICIAL = Paser(mode="official", lengths="length")


def test_divergence_by_hand():
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    m = (p + q) / 2
    assert (p @ np.log(p / m) + q @ np.log(q / m)) / 2 == pytest.approx(JSD, abs=1e-7)


def test_by_hand():
    """(.0664143 / 2) / ln (6 + 4)^2, and .0664143 / ln (6 + 21)^2."""
    paper, official = Paser()(ROWS), OFFICIAL(ROWS)
    assert paper["score"][0].as_py() == pytest.approx(0.00721084, abs=1e-8)
    assert paper["divergence"][0].as_py() == pytest.approx(JSD / 2)
    assert official["score"][0].as_py() == pytest.approx(0.0100755, abs=1e-7)
    assert official["divergence"][0].as_py() == JSD


def test_rows_without_a_score():
    """One token costs nothing; no answer token has no mean; a cut row counts."""
    for scorer, fourth in ((Paser(), "too_few_tokens"), (OFFICIAL, "ok")):
        found = scorer(ROWS)
        assert found["status"].to_pylist()[:2] == ["ok", "truncated"]
        assert found["status"].to_pylist()[3:] == [fourth, "instruction_too_long"]
    assert Paser()(ROWS)["status"][2].as_py() == "too_few_tokens"
    assert Paser()(ROWS)["divergence"].to_pylist()[2:] == [None] * 3


def test_tokens_of_another_signal():
    """(.0664143 / 2) / ln (6 + 40)^2."""
    found = Paser(lengths="length")(ROWS)["score"][0].as_py()
    assert found == pytest.approx(JSD / 4 / np.log(46))


def test_official_needs_characters():
    with pytest.raises(ValueError, match="mode official needs `lengths`"):
        Paser(mode="official")


@pytest.mark.parametrize("scorer", [Paser(), OFFICIAL])
def test_contract(scorer):
    check_scorer(scorer, ROWS)
