import numpy as np
import pytest
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.round_robin import RoundRobin
from tamis.tests.stages.selectors.test_queries import GOLDEN_B, kept, pool

BY = "rds.by_query"


def test_golden_b():
    rows, pulled = kept(RoundRobin(by=BY), pool(GOLDEN_B), 3)
    assert rows == [0, 3, 1]
    assert pulled == ["query: 0", "query: 1", "query: 0"]


def test_both_ways_with_a_row_that_was_taken():
    """Both queries like row 0 best: the second loses its turn, or takes row 2."""
    sims = [[0.9, 0.8, 0.1, 0.0], [0.9, 0.2, 0.7, 0.6]]
    lost = kept(RoundRobin(by=BY), pool(sims), 4)
    assert lost == ([0, 1, 2, 3], ["query: 0", "query: 0", "query: 1", "query: 1"])
    again = kept(RoundRobin(by=BY, taken="re_pop"), pool(sims), 4)
    assert again == ([0, 2, 1, 3], ["query: 0", "query: 1", "query: 0", "query: 1"])


def test_a_budget_in_tokens_stops_at_the_first_that_does_not_fit():
    table = pool(GOLDEN_B, tokens=[5, 1, 1, 4])
    for limit, rows in ((9, [0, 3]), (10, [0, 3, 1]), (4, []), (99, [0, 3, 1, 2])):
        assert kept(RoundRobin(by=BY), table, limit, "tokens")[0] == rows


def test_what_nobody_took_follows_by_its_best_number():
    table = pool([[0.9, 0.2, 0.5, 0.3]])
    choice = RoundRobin(by=BY)(table, Budget(1))
    assert choice.order.tolist() == [0, 2, 3, 1]
    assert np.isnan(choice.margin).all()
    assert choice.reason[2] == "over budget"


def naive(sims, limit, taken):
    """The published loop: every query has its whole list."""
    lists = [sorted(range(len(row)), key=lambda i, row=row: -row[i]) for row in sims]
    chosen = []
    while len(chosen) < limit:
        for own in lists:
            while own:
                item = own.pop(0)
                if item not in chosen:
                    chosen.append(item)
                    break
                if taken == "lose_turn":
                    break
            if len(chosen) == limit:
                return chosen
    return chosen


@pytest.mark.parametrize("taken", ["lose_turn", "re_pop"])
@pytest.mark.parametrize(("n", "queries", "limit"), [(300, 7, 60), (400, 3, 399), (200, 90, 20)])
def test_equals_the_published_loop(taken, n, queries, limit):
    generator = np.random.default_rng(n)
    # queries that agree on the best rows run far down their lists
    sims = (generator.normal(size=n) + 0.05 * generator.normal(size=(queries, n))).astype("f4")
    assert kept(RoundRobin(by=BY, taken=taken), pool(sims), limit)[0] == naive(
        sims.tolist(), limit, taken
    )


@pytest.mark.parametrize("taken", ["lose_turn", "re_pop"])
def test_contract(taken):
    check_selector(RoundRobin(by=BY, taken=taken), pool(GOLDEN_B))
