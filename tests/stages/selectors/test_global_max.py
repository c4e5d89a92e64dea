import numpy as np
import pytest
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.global_max import GlobalMax
from tamis.tests.stages.selectors.test_queries import GOLDEN_B, kept, pool

BY = "rds.by_query"


def test_golden_b():
    assert kept(GlobalMax(by=BY), pool(GOLDEN_B), 3) == ([0, 1, 2], ["query: 0"] * 3)


def test_a_cap_leaves_rows_to_the_next_query():
    rows, pulled = kept(GlobalMax(by=BY, cap=2), pool(GOLDEN_B), 4)
    assert rows == [0, 1, 3, 2]
    assert pulled == ["query: 0", "query: 0", "query: 1", "query: 1"]


def test_when_all_queries_have_their_cap_the_rest_is_dropped():
    choice = GlobalMax(by=BY, cap=1)(pool(GOLDEN_B), Budget(4))
    assert choice.order.tolist() == [0, 3, 1, 2]
    assert choice.n_kept == 2
    assert choice.reason[1] == "every query has its cap"
    assert GlobalMax(by=BY)(pool(GOLDEN_B), Budget(1)).reason[1] == "over budget"


def naive(sims, limit, cap):
    pairs = sorted(np.ndindex(*sims.shape), key=lambda pair: -sims[pair])
    chosen, took = [], [0] * len(sims)
    for query, row in pairs:
        if row not in chosen and took[query] < cap and len(chosen) < limit:
            chosen.append(row)
            took[query] += 1
    return chosen


@pytest.mark.parametrize(("n", "queries", "limit", "cap"), [(200, 5, 60, 12), (150, 9, 149, 150)])
def test_equals_a_sort_of_all_pairs(n, queries, limit, cap):
    generator = np.random.default_rng(n)
    sims = (generator.normal(size=n) + 0.3 * generator.normal(size=(queries, n))).astype("f4")
    found = kept(GlobalMax(by=BY, cap=cap), pool(sims), limit)[0]
    assert found == naive(sims, limit, cap)


@pytest.mark.parametrize("cap", [None, 1, 3])
def test_contract(cap):
    check_selector(GlobalMax(by=BY, cap=cap), pool(GOLDEN_B))
