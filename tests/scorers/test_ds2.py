import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import DataError
from tamis.scorers.checks import check_scorer
from tamis.scorers.ds2 import Ds2, long_tail

PLACES, COSINES = pa.list_(pa.int32()), pa.list_(pa.float32())


def table_of(ids, ratings, places, near, cosines):
    return pa.table(
        {
            "sample_id": ids,
            "data.rating": pa.array(ratings),
            "knn.place": pa.array(places, pa.int32()),
            "knn.neighbours": pa.array(near, PLACES),
            "knn.similarity": pa.array(cosines, COSINES),
            "knn.status": ["ok"] * len(ids),
        }
    )


def judged(n=300, wrong=0.3, seed=0, groups=12):
    """Rows of groups that deserve one rating each, some with another; and what they deserve."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(groups, 12))
    member = rng.integers(groups, size=n)
    deserved = rng.permutation(np.arange(groups) % 10 + 1)[member]
    vectors = centres[member] + 0.2 * rng.normal(size=(n, 12))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    given = np.where(rng.random(n) < wrong, rng.integers(1, 11, n), deserved)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    near = np.argsort(-cosines, axis=1)[:, :14]
    ids = [f"{i:06d}" for i in range(n)]
    found = np.take_along_axis(cosines, near, 1).tolist()
    return table_of(ids, given, range(n), near.tolist(), found), deserved


def ds2(**fields):
    return Ds2(**{"rating": "data.rating", "epochs": 11} | fields)


def run(table, **fields):
    scorer = ds2(**fields)
    return scorer(table, scorer.fit([table]))


def test_ratings_are_compressed():
    """1 to 10 become 0, 0, 0, 0, 1, 2, 3, 4, 5, 5; halves go up."""
    scorer = ds2()
    table, _ = judged(12)
    ten = table.slice(0, 10).set_column(1, "data.rating", pa.array(range(1, 11)))
    assert scorer._compressed(ten).tolist() == [0, 0, 0, 0, 1, 2, 3, 4, 5, 5]
    odd = table.slice(0, 4).set_column(1, "data.rating", pa.array(["6.5", "x", None, "99"]))
    assert scorer._compressed(odd).tolist() == [3, -1, -1, 5]
    as_is = ds2(low=0, high=5)._compressed(ten)
    assert as_is.tolist() == [1, 2, 3, 4, 5, 5, 5, 5, 5, 5]


@pytest.mark.parametrize(("d", "expected"), [(0.1, 0.05), (0.2, 0.0997), (0.5, 0.2449)])
def test_long_tail(d, expected):
    """The row itself is one of the ten, at distance 0; nearest rows beyond do not count."""
    cosines = np.append(np.full(9, 1 - d * 10 / 9), -1.0)[None].astype(np.float32)
    assert long_tail(cosines, np.ones((1, 10), bool), 10).tolist() == [expected]
    few = long_tail(np.array([[1 - 2 * d, 0.0]], np.float32), np.array([[True, False]]), 10)
    assert few.tolist() == [expected]


def test_wrong_ratings_are_replaced():
    table, deserved = judged(600)
    found = run(table)
    classes = np.clip(deserved, 4, 9) - 4
    before = np.mean(found["rating"].to_numpy() == classes)
    after = np.mean(found["score"].to_numpy() == classes)
    assert before < 0.8
    assert after > 0.95
    moved = found["score"].to_numpy() != found["rating"].to_numpy()
    assert (found["confidence"].to_numpy()[moved] >= 0.5).all()
    assert (found["score"].to_numpy()[moved] == found["suggested"].to_numpy()[moved]).all()
    assert (
        ds2()
        .found(ds2().fit([table]))
        .startswith(f"{moved.sum()} of 600 ratings replaced; how often each is right: 4 0.")
    )
    assert run(table, confident=1.0)["score"].equals(found["rating"])


def test_the_pool_twice_is_the_pool():
    """The published code works on its rows twice, so that a row's nearest neighbour is itself."""
    table, _ = judged()
    scorer = ds2()
    assert scorer.fit([table, table]).equals(scorer.fit([table]))


def test_copies_that_are_rated_otherwise():
    table, _ = judged()
    other = table.slice(0, 2)
    other = pa.concat_tables(
        [other.set_column(1, "data.rating", pa.array(r)) for r in ([1, 10], [9, None])]
    )
    first = table.slice(0, 2).set_column(1, "data.rating", pa.array([5, 7]))
    found = run(pa.concat_tables([first, table.slice(2), other]))["rating"].to_pylist()
    assert found[:2] == found[300:302] == found[302:] == [1, 3]  # of 1, 5, 9 and of 7, 10


def test_rows_without_a_rating_take_no_part():
    """They are no class of their own, as the published code has them, and do not vote."""
    table, _ = judged()
    holes = table["data.rating"].to_pylist()
    holes[::7] = [None] * len(holes[::7])
    found = run(table.set_column(1, "data.rating", pa.array(holes)))
    assert found["status"].to_pylist()[::7] == ["no_rating"] * len(holes[::7])
    assert found["score"].null_count == found["long_tail"].null_count == len(holes[::7])
    low = [0 if rating is None else rating for rating in holes]
    as_zero = run(table.set_column(1, "data.rating", pa.array(low)))
    assert as_zero["right"].to_pylist()[1] != found["right"].to_pylist()[1]


def test_order_parts_and_rows_outside_the_graph():
    table, _ = judged()
    scorer = ds2()
    state = scorer.fit([table])
    other = table.take(np.random.default_rng(1).permutation(len(table)))
    assert scorer.fit([other.slice(0, 9), other.slice(9, 0), other.slice(9)]).equals(state)
    lost = table_of(["x"], [5], [None], [None], [None])
    lost = lost.set_column(5, "knn.status", pa.array(["no_vector"]))
    both = pa.concat_tables([table, lost])
    assert scorer.fit([both]).equals(state)
    assert scorer(both, state)["status"].to_pylist()[-1] == "no_vector"
    some = table.slice(20)  # of the others, places lead nowhere
    found = scorer(some, scorer.fit([some]))
    assert found["score"].null_count == 0


def test_seeds():
    table, _ = judged()
    assert run(table, seed=0).equals(run(table))
    assert not run(table, seed=1)["confidence"].equals(run(table)["confidence"])


def test_too_few_ratings():
    table, _ = judged(30)
    none = table.set_column(1, "data.rating", pa.array([None] * 30, pa.int32()))
    with pytest.raises(DataError, match=r"0 rows have a rating in data\.rating and two rated"):
        ds2().fit([none])
    with pytest.raises(ValueError, match="high must be 1 to 20 above low"):
        Ds2(low=5, high=5)
    with pytest.raises(ValueError, match="what `fit` finds"):
        ds2().score(table)


def test_contract():
    check_scorer(ds2(), judged(40, groups=3)[0])
