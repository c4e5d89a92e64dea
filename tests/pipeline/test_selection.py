import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import PlanError
from tamis.pipeline.config import BudgetConfig
from tamis.pipeline.selection import budget_of, decide, percentile, step_names, whole_table
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.random import Random
from tamis.stages.selectors.threshold import Threshold
from tamis.stages.selectors.top_k import TopK

POOL = pa.table(
    {
        "row_id": range(6),
        "sample_id": list("abcdef"),
        "source": ["s"] * 6,
        "ifd.score": pa.array([0.9, 1.2, 0.5, None, 0.7, 0.8], pa.float32()),
        "ifd.status": ["ok", "ok", "truncated", "one_token_answer", "ok", "ok"],
        "len.score": pa.array([3.0, 9.0, None, 5.0, 4.0, 1.0], pa.float32()),
        "len.status": ["ok", "ok", "undefined", "ok", "ok", "ok"],
        "tokens": pa.array([3, 9, 1, 5, 4, 1], pa.int32()),
    }
)
BELOW = Threshold(by="ifd.score", below=1.0)
BEST = TopK(by="ifd.score")


def test_each_selector_narrows_what_the_one_before_kept():
    made = decide(POOL, [BELOW, BEST], Budget(2))
    assert made.kept.tolist() == [True, False, False, False, False, True]
    assert made.step.tolist() == ["top_k", "threshold", "top_k", "ifd", "top_k", "top_k"]
    assert made.reason.tolist() == [
        "",
        "ifd.score not below 1",
        "over budget",
        "one_token_answer",
        "over budget",
        "",
    ]
    assert made.rank.tolist() == [1, 5, 4, 0, 3, 2]
    assert made.margin.round(4).tolist()[:3] == [0.1, -0.2, -0.3]
    assert np.isnan(made.margin[3])


def test_a_row_is_dropped_by_the_first_score_it_lacks():
    made = decide(POOL, [BELOW, TopK(by="len.score")], Budget(10))
    assert made.step.tolist()[2] == "len"
    assert made.reason.tolist()[2] == "undefined"
    assert made.kept.sum() == 3


def test_what_the_last_keeps_over_the_budget_is_cut():
    made = decide(POOL, [BELOW], Budget(3))
    assert made.kept.tolist() == [True, False, False, False, True, True]
    assert made.reason[2] == "over budget"


def test_a_budget_in_tokens():
    made = decide(POOL, [BEST], Budget(13, "tokens"))
    assert made.kept.tolist() == [True, True, False, False, False, True]


def test_a_selector_without_scores_sees_every_row():
    assert decide(POOL, [Random(seed=0)], Budget(6)).kept.all()


def test_names_of_steps():
    assert step_names([BELOW, BEST, BEST, BELOW]) == [
        "threshold",
        "top_k",
        "top_k-2",
        "threshold-2",
    ]


def test_nothing_kept_is_an_error_that_says_why():
    with pytest.raises(
        PlanError, match=r"nothing is kept: 1 x ifd: one_token_answer; 5 x threshold"
    ):
        decide(POOL, [Threshold(by="ifd.score", above=5)], Budget(3))
    with pytest.raises(PlanError, match="selector is missing"):
        decide(POOL, [], Budget(3))


def test_budgets():
    assert budget_of(BudgetConfig(fraction=0.5), 7, None) == Budget(3)
    assert budget_of(BudgetConfig(answer_tokens=9), 7, "m.answer_tokens") == (
        Budget(9, "m.answer_tokens")
    )
    with pytest.raises(PlanError, match="budget is missing"):
        budget_of(None, 7, None)
    with pytest.raises(PlanError, match=r"0\.1 of 7 rows is less than one row"):
        budget_of(BudgetConfig(fraction=0.1), 7, None)


def test_percentiles_are_shares_below():
    found = percentile(np.array([3.0, 1.0, np.nan, 3.0, 2.0]))
    np.testing.assert_allclose(found, [0.5, 0.0, np.nan, 0.5, 0.25])


def test_rows_over_the_budget_of_a_threshold_stand_below_its_last_kept():
    made = decide(POOL, [BELOW], Budget(2))
    assert made.rank.tolist() == [1, 5, 4, 0, 3, 2]
    np.testing.assert_allclose(
        made.margin, [0.1, -0.2, -0.3, np.nan, -0.1, 0.2], rtol=1e-5, equal_nan=True
    )


def test_a_row_without_the_next_score_keeps_no_rank_of_the_last_selector():
    made = decide(POOL, [BELOW, TopK(by="len.score")], Budget(2))
    assert (made.step[2], made.reason[2], made.rank[2]) == ("len", "undefined", 0)
    assert np.isnan(made.margin[2])


def test_a_share_is_the_same_for_a_selector_and_a_budget():
    n = BudgetConfig(fraction=0.29).rows_of(100)
    table = pa.table(
        {
            "row_id": range(100),
            "sample_id": [f"{i:03d}" for i in range(100)],
            "s.score": pa.array(np.arange(100), pa.float32()),
        }
    )
    assert TopK(by="s.score", fraction=0.29)(table, Budget(100)).n_kept == n == 29


def test_more_numbers_than_arrow_counts_are_said():
    """1.5 x 2^30 numbers of each of two parts; nulls take no memory."""
    n = 3 << 29
    lists = pa.ListArray.from_arrays(pa.array([0, n], pa.int32()), pa.nulls(n))
    with pytest.raises(
        PlanError, match="2\\^31 numbers or more in all; take fewer rows or queries"
    ):
        whole_table([pa.table({"rds.by_query": lists})] * 2)
