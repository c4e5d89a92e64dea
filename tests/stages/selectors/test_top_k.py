import pyarrow as pa
import pytest
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.top_k import TopK

POOL = pa.table(
    {
        "row_id": range(5),
        "sample_id": list("abcde"),
        "s.score": pa.array([0.5, 0.9, 0.1, 0.9, 0.3], pa.float32()),
        "tokens": pa.array([4, 10, 1, 3, 2], pa.int32()),
    }
)


def kept(selector, budget):
    choice = selector(POOL, budget)
    return choice.order[: choice.n_kept].tolist()


def test_the_best_scores():
    assert kept(TopK(by="s.score"), Budget(3)) == [1, 3, 0]
    assert kept(TopK(by="s.score"), Budget(99)) == [1, 3, 0, 4, 2]


def test_a_budget_in_tokens_stops_at_the_first_that_does_not_fit():
    assert kept(TopK(by="s.score"), Budget(13, "tokens")) == [1, 3]
    assert kept(TopK(by="s.score"), Budget(9, "tokens")) == []


def test_a_size_of_its_own():
    assert kept(TopK(by="s.score", rows=2), Budget(4)) == [1, 3]
    assert kept(TopK(by="s.score", fraction=0.6), Budget(1)) == [1, 3, 0]
    with pytest.raises(ValueError, match="not both"):
        TopK(by="s.score", rows=1, fraction=0.5)


def test_margin_says_how_far_from_the_cut():
    choice = TopK(by="s.score")(POOL, Budget(3))
    assert choice.margin.round(6).tolist() == [0, 0.4, -0.4, 0.4, -0.2]


def test_contract():
    check_selector(TopK(by="s.score"), POOL)
