import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tamis.errors import PlanError
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.paser import Paser, degradation, shares


def pool(labels, scores=None, divergence=None, concepts=None):
    n = len(labels)
    return pa.table(
        {
            "row_id": range(n),
            "sample_id": [f"{i:04d}" for i in range(n)],
            "paser.score": pa.array(
                [1 - i / n for i in range(n)] if scores is None else scores, pa.float32()
            ),
            "paser.divergence": pa.array(divergence or [0.1] * n, pa.float64()),
            "clusters.label": pa.array(labels, pa.int32()),
            "concepts.concepts": pa.array(
                [[] for _ in labels] if concepts is None else concepts, pa.list_(pa.string())
            ),
            "tokens": pa.array([i + 1 for i in range(n)], pa.int32()),
        }
    )


def kept(table, budget, **fields):
    choice = Paser(**fields)(table, budget if isinstance(budget, Budget) else Budget(budget))
    return sorted(choice.order[: choice.n_kept].tolist())


def test_shares_by_hand():
    """100 x .12 / .47 = 25.53, 10.64, 63.83: 98 in all; the largest fractions get the other two."""
    cds = np.array([0.12, 0.05, 0.30])
    assert shares(100, cds, "floor").tolist() == [25, 10, 63]
    assert shares(100, cds, "largest_remainder").tolist() == [25, 11, 64]


def test_a_share_is_what_it_is_in_decimals():
    assert shares(60, np.array([0.1, 0.2, 0.3]), "floor").tolist() == [10, 20, 30]


def test_degradation_by_hand():
    found = degradation(np.array([0.1, 9.0, 0.5, 0.3]), np.array([2, -1, 0, 2]))
    assert found.tolist() == [0.5, 0.0, 0.2]


def test_budget_goes_where_the_divergence_is():
    """CDS .12, .05 and .30: of 47 rows 12, 5 and 30; of 100 as above."""
    labels = [0] * 40 + [1] * 40 + [2] * 70
    divergence = [0.12] * 40 + [0.05] * 40 + [0.30] * 70
    table = pool(labels, divergence=divergence)
    assert kept(table, 47) == [*range(12), *range(40, 45), *range(80, 110)]
    assert len(kept(table, 100)) == 98
    assert len(kept(table, 100, split="largest_remainder")) == 100
    assert len(kept(table, 120)) == 30 + 12 + 70
    assert len(kept(table, 120, refill=True)) == 120


STREAM = [list(concepts) for concepts in ("ab", "bc", "ac", "ad", "abc", "e", "ea")]


def test_conflicts_by_hand():
    table = pool([0] * 7, concepts=STREAM)
    choice = Paser()(table, Budget(7))
    assert sorted(choice.order[: choice.n_kept].tolist()) == [0, 1, 3, 5, 6]
    assert choice.reason[[2, 4]].tolist() == ["conflicting concepts: a | c"] * 2
    assert choice.pulled[[0, 6]].tolist() == ["cluster: 0"] * 2
    assert kept(table, 7, lone=True) == [0, 1, 3, 5]
    assert kept(table, 7, concepts=None) == list(range(7))


def test_rows_come_by_score_then_sample_id():
    """With ac in front, b and c are both known when bc comes, but not from one row."""
    table = pool([0] * 7, scores=[6, 5, 7, 4, 3, 2, 1], concepts=STREAM)
    assert kept(table, 7) == [0, 2, 3, 5, 6]
    ties = pool([0] * 7, scores=[1.0] * 7, concepts=STREAM)
    assert kept(ties, 7) == [0, 1, 3, 5, 6]


def test_clusters_come_by_label():
    """The graph is one for all: what the first cluster took stands when the second is asked."""
    table = pool([1, 0, 0], concepts=[["a", "c"], ["a", "b"], ["b", "c"]])
    assert kept(table, 3, split="largest_remainder") == [1, 2]
    table = pool([0, 1, 1], concepts=[["a", "c"], ["a", "b"], ["b", "c"]])
    assert kept(table, 3, split="largest_remainder") == [0, 1]


def test_what_a_cluster_cannot_fill():
    """Shares of 5 and 5; the first cluster has 2 rows."""
    table = pool([0] * 2 + [1] * 20)
    assert len(kept(table, 10)) == 7
    assert kept(table, 10, refill=True) == [0, 1, *range(2, 10)]
    assert len(kept(table, 30, refill=True)) == 22


def test_clusters_that_lost_nothing_come_last():
    """10 rows of CDS .1, then 8 of the rest: 2 in proportion to 5 and 15 rows of CDS 0."""
    table = pool([0] * 5 + [1] * 10 + [2] * 15, divergence=[0.0] * 5 + [0.1] * 10 + [0.0] * 15)
    assert len(kept(table, 18)) == 10
    assert kept(table, 18, refill=True) == [0, 1, *range(5, 15), *range(15, 21)]
    assert len(kept(table, 99, refill=True)) == 30


def test_shares_of_less_than_a_row():
    table = pool([0, 1, 2, 3])
    message = "the budget of 3 gives none of 4 clusters .* `split: largest_remainder`, or `refill: "
    with pytest.raises(PlanError, match=message):
        Paser()(table, Budget(3))
    assert len(kept(table, 3, split="largest_remainder")) == len(kept(table, 3, refill=True)) == 3
    with pytest.raises(PlanError, match="take a larger budget, or fewer clusters"):
        Paser(refill=True)(table.slice(1), Budget(1, "tokens"))


def test_passed_over_rows_do_not_come_again():
    concepts = [["a", "b"], ["b", "c"], ["a", "c"], ["x"], ["a", "c"], ["y"]]
    table = pool([0] * 6, concepts=concepts)
    assert kept(table, 4, refill=True) == [0, 1, 3, 5]
    choice = Paser(refill=True)(table, Budget(3))
    assert choice.reason[2] == "conflicting concepts: a | c"
    assert choice.reason[4] == "over the share: of cluster 0"


def test_margins_are_those_of_the_cluster():
    table = pool([0, 0, 1, 1], scores=[4.0, 1.0, 3.0, 2.5])
    choice = Paser()(table, Budget(2))
    assert choice.margin.tolist() == [0.0, -3.0, 0.0, -0.5]
    assert choice.order.tolist() == [0, 2, 3, 1]


def test_rows_without_a_cluster():
    choice = Paser()(pool([0, None, 0]), Budget(3))
    assert choice.order[: choice.n_kept].tolist() == [0, 2]
    assert choice.reason[1] == "no cluster"
    assert np.isnan(choice.margin[1])
    with pytest.raises(PlanError, match=r"no row has a clusters\.label"):
        Paser()(pool([None, None]), Budget(1))


def test_the_same_model_twice():
    with pytest.raises(PlanError, match="the two models say the same"):
        Paser()(pool([0, 1], divergence=[0.0, 0.0]), Budget(1))


def test_budget_in_tokens():
    """Shares of 10 each: rows cost 1, 2, 3, 4 and 5, 6, 7."""
    table = pool([0] * 4 + [1] * 3)
    budget = Budget(20, "tokens")
    assert kept(table, budget) == [0, 1, 2, 3, 4]
    assert kept(table, Budget(25, "tokens"), refill=True) == [0, 1, 2, 3, 4, 5]


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sets(st.sampled_from("abcde"), max_size=3)), max_size=30
    ),
    st.integers(0, 40),
    st.booleans(),
    st.sampled_from(["floor", "largest_remainder"]),
)
def test_never_over_the_budget(rows, limit, refill, rule):
    table = pool([label for label, _ in rows], concepts=[sorted(own) for _, own in rows])
    selector = Paser(refill=refill, split=rule)
    if rows and limit and rule == "floor" and not refill:
        clusters = {label for label, _ in rows}
        if limit < len(clusters):  # all lost the same
            with pytest.raises(PlanError, match="nothing is kept"):
                selector(table, Budget(limit))
            return
    choice = selector(table, Budget(limit))
    assert choice.n_kept <= limit
    passed_over = sum(reason.startswith("conflicting") for reason in choice.reason)
    if refill:
        assert choice.n_kept == limit or choice.n_kept + passed_over == len(rows)


def test_contract():
    check_selector(Paser(), pool([0, 1, 0, 1, 2, 2, 0], concepts=STREAM), 4)
    check_selector(
        Paser(refill=True, lone=True), pool([0, 1, 0, None, 2, 2, 0], concepts=STREAM), 5
    )
