import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import ContractError, DataError
from tamis.scorers.checks import check_scorer
from tamis.scorers.tagcos import Tagcos
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.top_k import TopK

FLOATS = pa.list_(pa.float32())


def rows(vectors, labels, status=None, ids=None, weights=(1.0,)):
    n = len(vectors)
    return pa.table(
        {
            "sample_id": ids or [f"{i * 7919 % 100_003:05x}" for i in range(n)],
            "gradient.adam": pa.array(vectors, FLOATS),
            "gradient.given.status": pa.array(["ok"] * n, pa.string()),
            "gradient.status": pa.array(status or ["ok"] * n, pa.string()),
            "gradient.weights": pa.array([list(weights)] * n, FLOATS),
            "clusters.label": pa.array(labels, pa.int32()),
            "clusters.status": pa.array(
                ["ok" if label is not None else "no_vector" for label in labels], pa.string()
            ),
        }
    )


def run(table, **fields):
    scorer = Tagcos(**fields)
    return scorer(table, scorer.fit([table]))


def drawn(n=120, clusters=4, numbers=16, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(clusters, size=n)
    vectors = rng.normal(size=(n, numbers)) + rng.normal(size=(clusters, numbers))[labels]
    return rows(vectors.tolist(), labels.tolist())


def test_by_hand():
    """Cluster 0: the mean of (1, 0), (0, 1), (.6, .8), (1, 0) is (.65, .45); the products with it
    are .65, .45, .75, .65, so row 2 first, with weight .75. What is left is (.2, -.15): row 0 is
    next (.2; row 3 is like it). (I + G) w = (.75, .65) with G = [[1, .6], [.6, 1]] gives both their
    weights, (1.11, .85) / 3.64; then row 2 fits best again (its weight), and a second pursuit takes
    row 3 (.65) and then row 1: what is left of (.65, .45) is (0, .45), and (2, 2) w = (.65, .45).
    Cluster 1 has the mean (0, .25): row 4 has .25; row 5 points away, and is never reached.
    """
    vectors = [[1, 0], [0, 1], [0.6, 0.8], [1, 0], [0, 1], [0, -0.5]]
    table = rows(vectors, [0, 0, 0, 0, 1, 1], ids=["a", "b", "c", "d", "e", "f"])
    found = run(table, most=1.0, unit=False)
    assert found["pick"].to_pylist()[:4] == [1, 3, 0, 2]
    assert found["score"].to_pylist()[:4] == [0.5, 0.0, 0.75, 0.25]
    expected = [0.85 / 3.64, 0.225, 1.11 / 3.64, 0.325]
    assert found["weight"].to_pylist()[:4] == pytest.approx(expected, abs=1e-6)
    assert found["cluster"].to_pylist() == [0, 0, 0, 0, 1, None]
    assert found.slice(4).to_pylist() == [
        {"score": 0.5, "status": "ok", "cluster": 1, "pick": 0, "weight": 0.25},
        {"score": None, "status": "not_reached", "cluster": None, "pick": None, "weight": None},
    ]


def test_the_best_scores_are_the_same_share_of_each_cluster():
    table = drawn(400)
    found = run(table, most=0.3)
    sizes = np.bincount(table["clusters.label"].to_numpy())
    pool = pa.table(
        {"row_id": np.arange(400), "sample_id": table["sample_id"], "t.score": found["score"]}
    ).filter(found["score"].is_valid())
    labels = np.array([r["cluster"] for r in found.to_pylist() if r["score"] is not None])
    for budget in (20, 40, 100):
        choice = TopK(by="t.score")(pool, Budget(budget))
        kept = np.bincount(labels[choice.order[: choice.n_kept]], minlength=4)
        share = budget / 400
        assert kept.sum() == budget
        assert (np.floor(share * sizes) <= kept).all()
        assert (kept <= np.floor(share * sizes) + 1).all()


def test_what_is_not_reached_says_so():
    table = drawn(100)
    found = run(table, most=0.1)
    sizes = np.bincount(table["clusters.label"].to_numpy())
    n_reached = int(np.ceil(0.1 * sizes).sum())
    assert found["status"].to_pylist().count("ok") == n_reached
    assert found["status"].to_pylist().count("not_reached") == 100 - n_reached
    assert found["score"].null_count == found["pick"].null_count == 100 - n_reached


@pytest.mark.parametrize("mode", ["official", "grad_match"])
class TestInvariance:
    def test_order_and_parts(self, mode):
        table = drawn()
        scorer = Tagcos(mode=mode, most=0.5)
        state = scorer.fit([table])
        turned = np.random.default_rng(1).permutation(len(table))
        other = table.take(turned)
        assert scorer.fit([other.slice(0, 5), other.slice(5, 0), other.slice(5)]) == state

    def test_memory(self, mode):
        """Four clusters of some 30 rows with 16,384 numbers: in 5 MB one at a time."""
        table = drawn(120, numbers=16_384)
        states = [Tagcos(mode=mode, memory_mb=mb).fit([table]) for mb in (5, 2048)]
        assert states[0] == states[1]
        assert Tagcos(memory_mb=5).identity() == Tagcos().identity()

    def test_smaller_most(self, mode):
        table = drawn()
        more, less = (run(table, mode=mode, most=most) for most in (0.5, 0.2))
        some = np.array([pick is not None for pick in less["pick"].to_pylist()])
        assert some.sum() > 20
        assert less.filter(some).equals(
            more.filter(some).set_column(
                more.schema.get_field_index("weight"), "weight", less.filter(some)["weight"]
            )
        )


def test_a_cluster_that_does_not_fit_is_named():
    table = drawn(60, clusters=1, numbers=8192)
    with pytest.raises(
        DataError, match=r"cluster 0 of clusters has 60 rows of 8,192 numbers, .* 4"
    ):
        Tagcos(memory_mb=1).fit([table])
    Tagcos(memory_mb=4).fit([table])


def test_copies_are_picked_together_and_count_as_many():
    """(1, 0) three times and (0, 1) once: the copies take 3 of 4 rows with one pick."""
    table = rows([[1, 0], [0, 1], [1, 0], [1, 0]], [0] * 4, ids=["a", "b", "a", "a"])
    found = run(table, most=1.0)
    assert found["pick"].to_pylist() == [0, 1, 0, 0]
    assert found["score"].to_pylist() == [0.25, 0.0, 0.25, 0.25]


def test_a_copy_in_another_cluster_is_a_row_of_that():
    table = rows([[1, 0], [1, 0.001], [0, 1]], [0, 1, 1], ids=["a", "a", "b"])
    found = run(table, most=1.0)
    assert found["cluster"].to_pylist() == [0, 1, 1]
    assert found["score"].to_pylist()[0] == 0.0


def test_rows_without_a_gradient_take_no_part():
    table = drawn(40)
    bad = rows([None, [9.0] * 16], [None, None], status=["ok", "not_finite"], ids=["x", "y"])
    both = pa.concat_tables([table, bad])
    found = run(both)
    assert found.slice(0, 40).equals(run(table))
    assert found["status"].to_pylist()[40:] == ["no_vector", "not_finite"]


def test_nothing_to_pick():
    table = rows([None, None], [None, None])
    assert run(table)["status"].to_pylist() == ["no_vector", "no_vector"]
    unlike = rows([None, [1.0, 0.0]], [0, 0])  # clusters of something else
    assert run(unlike, most=1.0)["status"].to_pylist() == ["not_reached", "ok"]
    with pytest.raises(ValueError, match="picks that `fit` finds"):
        Tagcos().score(table)


def test_vectors_of_two_lengths():
    parts = [rows([[1, 0]], [0]), rows([[1, 0, 0]], [0])]
    with pytest.raises(ContractError, match=r"gradient\.adam has vectors of 3 and of 2 numbers"):
        Tagcos().fit(parts)


def test_checkpoints_are_weighed():
    """Of two checkpoints with weights 1 and 0 the second says nothing."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 30, 8))
    both = rows(np.concatenate([first, second], 1).tolist(), [0] * 30, weights=(1.0, 0.0))
    alone = rows(first.tolist(), [0] * 30)
    assert run(both).equals(run(alone))


def test_contract():
    for mode in ("official", "grad_match"):
        check_scorer(Tagcos(mode=mode, most=0.5), drawn(30, 3))
