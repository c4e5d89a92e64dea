import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.hierarchical import Hierarchical

MEAN = [0.95, 0.90, 0.97, 0.60, 0.92, 0.99]
DEVIATION = [0.02, 0.01, 0.08, 0.001, 0.03, 0.05]
IFD = [0.98, 0.95, 0.99, 0.7, 1.02, 0.99]


def pool(score, deviation, ifd=None, copies=30, **others):
    n = len(score)
    columns = {
        "row_id": range(n),
        "sample_id": [f"{i:05d}" for i in range(n)],
        "tshirt.score": pa.array(score, pa.float32()),
        "tshirt.deviation": pa.array(deviation, pa.float32()),
        "tshirt.ifd": pa.array([0.5] * n if ifd is None else ifd, pa.float32()),
        "tshirt.copies": pa.array(np.broadcast_to(copies, n), pa.int32()),
    }
    return pa.table({**columns, **others})


G4 = pool(MEAN, DEVIATION, IFD, tokens=pa.array([10, 20, 5, 1, 7, 6], pa.int32()))


def kept(choice):
    return choice.order[: choice.n_kept].tolist()


def test_g4():
    choice = Hierarchical()(G4, Budget(2))
    assert kept(choice) == [1, 0]
    assert choice.order.tolist() == [1, 0, 5, 2, 3, 4]
    assert choice.reason[[5, 2, 3, 4]].tolist() == [
        "deviation, second stage",
        "deviation, second stage",
        "score, first stage",
        "difficulty",
    ]
    expected = [0.0, 0.01, -0.06, 0.60 - 0.90, 1 - 1.02, -0.03]
    assert choice.margin == pytest.approx(expected, abs=1e-6)


def test_gamma_one_is_the_top_of_the_scores():
    assert sorted(kept(Hierarchical(gamma=1)(G4, Budget(2)))) == [2, 5]
    assert kept(Hierarchical(gamma=1.5)(G4, Budget(2))) == [0, 5]  # of three
    assert kept(Hierarchical(gamma=1.5)(G4, Budget(1))) == [5]  # one and a half is one


def test_fewer_rows_than_the_budget():
    choice = Hierarchical()(G4, Budget(9))
    assert kept(choice) == [3, 1, 0, 5, 2]
    assert choice.reason[4] == "difficulty"
    assert sorted(kept(Hierarchical()(G4, Budget(3)))) == [0, 1, 3]


def test_the_limit_itself_is_dropped():
    table = pool([0.9, 0.8, 0.7], [0.1, 0.1, 0.1], [1.0, 0.999, 0.7])
    assert sorted(kept(Hierarchical()(table, Budget(3)))) == [1, 2]
    assert kept(Hierarchical(limit=0.7)(table, Budget(3))) == []
    assert Hierarchical(limit=0.7)(table, Budget(3)).margin[2] == 0
    assert len(kept(Hierarchical(limit=float("inf"))(table, Budget(3)))) == 3


def test_a_budget_in_tokens():
    """Six tokens, so twelve in the first stage: 6 + 5 of the rows 5 and 2; row 0 is too long."""
    choice = Hierarchical()(G4, Budget(6, "tokens"))
    assert kept(choice) == [5]
    assert choice.order.tolist() == [5, 2, 0, 1, 3, 4]
    assert kept(Hierarchical()(G4, Budget(30, "tokens"))) == [3, 1]  # 21 of 30, and 0 has 10
    assert kept(Hierarchical()(G4, Budget(2, "tokens"))) == []


def test_nothing_fits():
    choice = Hierarchical()(G4, Budget(2, "tokens"))
    assert (choice.margin[[0, 1, 2, 3, 5]] == -np.inf).all()
    assert choice.margin[4] == pytest.approx(-0.02, abs=1e-6)


def test_rows_without_a_number_come_last():
    table = pool([0.9, 0.8, 0.7, 0.6], [None, 0.1, 0.2, 0.3], [0.5, None, 0.5, float("inf")])
    choice = Hierarchical()(table, Budget(4))
    assert kept(choice) == [2]
    assert choice.reason[[0, 1, 3]].tolist() == ["no number", "no number", "difficulty"]
    assert np.isnan(choice.margin[[0, 1]]).all()


def test_ties_go_by_sample_then_row():
    table = pa.table(
        {
            "row_id": [0, 1, 2, 3],
            "sample_id": ["b", "a", "b", "c"],
            "tshirt.score": pa.array([0.5] * 4, pa.float32()),
            "tshirt.deviation": pa.array([0.1, 0.1, 0.1, 0.1], pa.float32()),
            "tshirt.ifd": pa.array([0.5] * 4, pa.float32()),
        }
    )
    assert Hierarchical()(table, Budget(2)).order.tolist() == [1, 0, 2, 3]


@given(
    st.lists(
        st.tuples(*(st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.9, 1.0]) for _ in range(3))),
        min_size=1,
        max_size=20,
    ),
    st.integers(1, 8),
    st.sampled_from([1.0, 1.5, 2.0, 3.0]),
)
def test_equals_the_published_order(rows, n, gamma):
    """Filter, sort by score, cut, sort by deviation, cut."""
    table = pool(*zip(*rows, strict=True))
    left = [i for i, row in enumerate(rows) if row[2] < 1]
    left = sorted(left, key=lambda i: (-rows[i][0], i))[: int(gamma * n)]
    left = sorted(left, key=lambda i: (rows[i][1], i))[:n]
    assert kept(Hierarchical(gamma=gamma)(table, Budget(n))) == left


def test_fields():
    names = ["score", "deviation", "ifd", "copies"]
    assert Hierarchical().reads.names == [f"tshirt.{name}" for name in names]
    for gamma in (0.9, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="gamma"):
            Hierarchical(gamma=gamma)


def test_contract():
    check_selector(Hierarchical(), G4)


def unsettled(table, budget=2, most=1000, confidence=0.95):
    selector = Hierarchical(confidence=confidence)
    return selector.unsettled(table, Budget(budget), most).tolist()


def test_what_is_settled():
    """Two of eight; four pass the first stage, the last of them with 0.8."""
    score = [0.95, 0.90, 0.85, 0.80, 0.79, 0.30, 0.99, 0.94]
    deviation = [0.001, 0.001, 0.05, 0.05, 0.001, 0.05, 0.01, None]
    ifd = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1.5, 0.5]
    copies = [10, 10, 10, 10, 10, 10, 10, 0]
    table = pool(score, deviation, ifd, copies)
    # 2 and 3: in the first stage or out; 1 stands at the second cut itself, and 0 beside it
    assert unsettled(table) == [True, True, False, True, False, False, False, False]
    table = pool(score, [0.0001, 0.001, *deviation[2:]], ifd, copies)
    assert unsettled(table)[:3] == [False, True, False]


def test_a_row_near_the_limit_is_not_settled():
    table = pool([0.9, 0.8], [0.01, 0.01], [0.9999, 0.5], 10)
    assert unsettled(table, budget=9) == [True, False]
    table = pool([0.9, 0.8], [0.01, 0.01], [1.0001, 0.5], 10)
    assert unsettled(table, budget=9) == [True, False]
    table = pool([0.9, 0.0], [0.01, 0.01], [float("inf"), 0.5], 10)
    assert unsettled(table, budget=9) == [False, True]


def test_one_copy_settles_nothing_and_all_copies_everything():
    table = pool(MEAN, DEVIATION, IFD, 1)
    assert unsettled(table) == [True] * 6
    assert unsettled(table, most=1) == [False] * 6
    assert unsettled(pool(MEAN, DEVIATION, IFD, 30), most=30) == [False] * 6
    assert unsettled(pool([], [], [], 1)) == []
    with pytest.raises(ValidationError, match="less than 1"):
        unsettled(table, confidence=1.0)


def estimates(copies, ifds, n):
    """What the first n copies of each row give."""
    first = np.arange(copies.shape[1]) < n[:, None]
    mean = (copies * first).sum(1) / n
    deviation = np.sqrt((((copies - mean[:, None]) ** 2) * first).sum(1) / n)
    return pool(mean, deviation, (ifds * first).sum(1) / n, n)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rounds", [(4, 10, 30), (4, 8, 16, 30)])
def test_adaptive_copies_find_the_exhaustive_choice(seed, rounds):
    """Normal copies of rows whose means and deviations are known; budget 5 %."""
    generator = np.random.default_rng(seed)
    n_rows, budget = 2000, Budget(100)
    deviations = np.exp(generator.normal(np.log(0.022), 0.5, n_rows))[:, None]
    noise = deviations * generator.standard_normal((n_rows, 30))
    means = generator.normal(0.75, 0.12, n_rows)[:, None]
    copies, ifds = (
        means + noise,
        means + generator.normal(0.08, 0.05, n_rows)[:, None] + 0.6 * noise,
    )
    selector = Hierarchical(confidence=0.99)
    exhaustive = kept(selector(estimates(copies, ifds, np.full(n_rows, 30)), budget))
    n = np.full(n_rows, rounds[0])
    for more in rounds[1:]:
        table = estimates(copies, ifds, n)
        n = np.where(selector.unsettled(table, budget, 30), more, n)
    found = kept(selector(estimates(copies, ifds, n), budget))
    assert len(set(found) & set(exhaustive)) >= 95
    assert n.sum() * 3 <= 30 * n_rows
