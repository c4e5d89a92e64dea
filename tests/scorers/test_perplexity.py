import math

import pyarrow as pa
import pytest
from tamis.scorers.checks import check_scorer
from tamis.scorers.perplexity import Perplexity


def rows(losses):
    n = len(losses)
    columns = {
        "base.given.token_loss_sum": pa.array([4.0 * loss for loss in losses]),
        "base.given.token_loss_count": pa.array([4] * n, pa.int32()),
    }
    columns |= {f"base.{name}": pa.array(["ok"] * n) for name in ("status", "given.status")}
    return pa.table(columns)


def test_exp_of_the_mean_loss():
    found = Perplexity()(rows([0.0, 1.0, math.log(12)]))["score"].to_pylist()
    assert found == pytest.approx([1.0, math.e, 12.0])


def test_a_perplexity_that_overflows_has_a_status():
    found = Perplexity()(rows([1000.0]))
    assert found["score"].to_pylist() == [None]
    assert found["status"].to_pylist() == ["undefined"]


def test_middle_keeps_the_middle_first():
    scorer, table = Perplexity(prefer="middle"), rows([0.1, 9.0, 1.0, 1.1, 0.9])
    found = scorer(table, scorer.fit([table]))["score"].to_pylist()
    assert found.index(max(found)) == 2


@pytest.mark.parametrize("prefer", ["high", "low", "middle"])
def test_contract(prefer):
    check_scorer(Perplexity(prefer=prefer), rows([0.5, 1.5, 0.25]))
