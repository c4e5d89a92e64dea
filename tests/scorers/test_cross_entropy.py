import pyarrow as pa
import pytest
from tamis.scorers.checks import check_scorer
from tamis.scorers.cross_entropy import CrossEntropy, answer_loss


def rows(n=4):
    columns = {}
    for offset, part in enumerate(("given", "alone", "instruction")):
        sums = [float((i + 1) * (offset + 1)) for i in range(n)]
        columns[f"base.{part}.token_loss_sum"] = pa.array(sums)
        columns[f"base.{part}.token_loss_count"] = pa.array([2] * n, pa.int32())
    for name in ("status", "given.status", "alone.status"):
        columns[f"base.{name}"] = pa.array(["ok"] * n)
    return pa.table(columns)


def score(scorer, table):
    fitted = scorer.fit([table]) if scorer.fits_pool else None
    return scorer(table, fitted)["score"].to_pylist()


def test_mean_loss_of_each_part():
    table = rows()
    assert score(CrossEntropy(), table) == [0.5, 1, 1.5, 2]
    assert score(CrossEntropy(part="alone"), table) == [1, 2, 3, 4]
    assert score(CrossEntropy(part="instruction"), table) == [1.5, 3, 4.5, 6]


def test_the_whole_text_is_pooled_over_tokens():
    assert answer_loss(rows(1), "base", "text").tolist() == [(1 + 3) / 4]


def test_low_and_middle():
    table = rows(5)
    assert score(CrossEntropy(prefer="low"), table) == [-0.5, -1, -1.5, -2, -2.5]
    assert score(CrossEntropy(prefer="middle"), table) == pytest.approx([-0.4, -0.2, 0, -0.2, -0.4])


@pytest.mark.parametrize("prefer", ["high", "low", "middle"])
@pytest.mark.parametrize("part", ["given", "alone", "instruction", "text"])
def test_contract(prefer, part):
    check_scorer(CrossEntropy(prefer=prefer, part=part), rows())
