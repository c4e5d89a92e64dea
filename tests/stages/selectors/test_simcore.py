import numpy as np
import pytest
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.simcore import SimCore
from tamis.tests.stages.selectors.test_queries import kept, pool

BY = "rds.by_query"
GOLDEN = [[0.9, 0.8, 0.3, 0.2], [0.1, 0.2, 0.7, 0.6]]  # queries x rows


def simcore(**fields):
    return SimCore(by=BY, **fields)


def test_golden():
    """Round 1 takes {0, 2}, value .8; round 2 would be {1, 3}, value .7 < .95 * .8 = .76."""
    choice = simcore(patience=1)(pool(GOLDEN), Budget(4))
    assert sorted(choice.order[: choice.n_kept].tolist()) == [0, 2]
    assert [choice.pulled[row] for row in (0, 2)] == ["query: 0", "query: 1"]
    assert choice.order[2:].tolist() == [1, 3]
    assert set(choice.reason[[1, 3]]) == {"after the last round"}
    rows, _ = kept(simcore(patience=1, stop=0.87), pool(GOLDEN), 4)  # .7 is not under .696
    assert sorted(rows) == [0, 1, 2, 3]


def test_nothing_stops_before_patience_or_without_a_stop():
    falling = [[1.0, 0.5, 0.25, 0.125]]
    assert kept(simcore(patience=20), pool(falling), 4)[0] == [0, 1, 2, 3]
    assert kept(simcore(patience=2), pool(falling), 4)[0] == [0, 1]
    assert kept(simcore(patience=1, stop=None), pool(falling), 4)[0] == [0, 1, 2, 3]


@pytest.mark.parametrize("shift", [-1.0, -2.0])
def test_a_share_of_no_likeness_is_no_bound(shift, caplog):
    """Round 2 has the value 0 or -1; the next one is worse, and -.95 would be above it."""
    sims = [[2.0 + shift, 1.0 + shift, 1.0 + shift, shift]]
    assert kept(simcore(patience=2), pool(sims), 4)[0] == [0, 1]
    assert f"round 2, by which the others are judged, has the value {1 + shift:g}" in caplog.text
    assert len(caplog.records) == 1
    assert len(kept(simcore(patience=2, stop=None), pool(sims), 4)[0]) == 4


def test_two_queries_that_take_the_same_row():
    """It counts once, and in the value for both: .9 and .8, mean .85."""
    both = [[0.9, 0.1, 0.2], [0.8, 0.75, 0.1]]
    rows, pulled = kept(simcore(patience=1, stop=0.5), pool(both), 3)
    assert rows[0] == 0
    assert pulled[0] == "query: 0"
    assert sorted(rows[1:]) == [1, 2]  # .2 and .75: .475, not less than .425
    assert kept(simcore(patience=1, stop=0.6), pool(both), 3)[0] == [0]


def test_cap():
    sims = np.ones((2, 30)) - np.arange(30) * 1e-3
    assert len(kept(simcore(cap=3), pool(sims), 30)[0]) == 6  # both always like the same row best
    assert len(kept(simcore(cap=3, stop=None), pool(sims), 30)[0]) == 30


def test_the_last_round_is_drawn_by_the_seed():
    sims = np.eye(40)[:, np.random.default_rng(0).permutation(40)]
    chosen = [set(kept(simcore(seed=seed), pool(sims), 15)[0]) for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert all(len(rows) == 15 for rows in chosen)


def plainly(sims, limit):
    """Rounds by a whole sort, until so many rows are taken."""
    left, rounds = np.ones(sims.shape[1], dtype=bool), []
    while sum(map(len, rounds)) < limit and left.any():
        taken = {int(np.where(left, query, -np.inf).argmax()) for query in sims}
        left[list(taken)] = False
        rounds.append(taken)
    return rounds


@pytest.mark.parametrize(("n", "queries", "limit"), [(300, 4, 150), (50, 7, 50)])
def test_equals_the_plain_procedure(n, queries, limit):
    sims = np.random.default_rng(0).normal(size=(queries, n)).astype(np.float32)
    rows, _ = kept(simcore(stop=None), pool(sims), limit)
    assert len(rows) == limit
    at = 0
    for taken in plainly(sims, limit):
        found = set(rows[at : at + len(taken)])
        assert found <= taken
        assert len(found) == min(len(taken), limit - at)
        at += len(taken)


def test_budget_in_tokens():
    table = pool(GOLDEN, tokens=np.array([10, 10, 10, 10], np.int32))
    assert len(kept(simcore(stop=None), table, 25, "tokens")[0]) == 2


def test_contract():
    sims = np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32)
    check_selector(simcore(), pool(sims), 7)
    check_selector(simcore(patience=1, stop=0.8), pool(sims), 30)
