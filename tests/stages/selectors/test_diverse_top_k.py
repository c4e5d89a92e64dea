import logging

import numpy as np
import pyarrow as pa
import pytest
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.diverse_top_k import DiverseTopK
from tamis.tests.stages.selectors.test_coverage import random_cosines
from tamis.tests.stages.selectors.test_graph import graph_pool, pool_of_cosines
from tamis.tests.stages.selectors.test_k_center import pool_of

CHAIN = [[1, 0.96, 0.5], [0.96, 1, 0.97], [0.5, 0.97, 1]]


def scored(pool, values=None):
    values = values if values is not None else [1 - 0.01 * i for i in range(len(pool))]
    return pool.append_column("s.score", pa.array(values, pa.float32()))


def choice(pool, limit, cost=None, **fields):
    return DiverseTopK(by="s.score", **fields)(pool, Budget(limit, cost))


def kept(pool, limit, cost=None, **fields):
    found = choice(pool, limit, cost, **fields)
    return found.order[: found.n_kept].tolist()


def test_golden_chain():
    """1 is too like 0 and goes; 2 is like 1 alone, and stays: {0, 2}."""
    found = choice(scored(pool_of_cosines(CHAIN)), 3, graph="knn", threshold=0.95)
    assert found.order.tolist() == [0, 2, 1]
    assert found.n_kept == 2
    assert found.reason[1] == "too like a kept row"
    assert found.margin.tolist() == pytest.approx([0.02, -0.01, 0])


def test_chain_of_vectors():
    """At 0, 16 and 30 degrees: cosines .961, .970 and .866."""
    angles = np.radians([0, 16, 30])
    pool = scored(pool_of(np.stack([np.cos(angles), np.sin(angles)], 1).tolist()))
    assert kept(pool, 3, of="e.embedding", threshold=0.95) == [0, 2]
    assert kept(pool, 3, of="e.embedding", threshold=0.965) == [0, 1]
    assert kept(pool, 3, of="e.embedding", threshold=0.975) == [0, 1, 2]
    assert kept(pool, 3, of="e.embedding", threshold=0.86) == [0]


def test_equal_to_the_threshold_is_kept():
    pool = scored(pool_of([[1.0, 0], [0.6, 0.8]]))
    assert kept(pool, 2, of="e.embedding", threshold=0.6) == [0, 1]


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_plain_procedure(seed):
    vectors, cosine = random_cosines(300, seed)
    values = np.random.default_rng(seed).permutation(300) / 300
    expected = []
    for row in np.argsort(-values):
        if cosine[row, expected].max(initial=-1) <= 0.7:
            expected.append(int(row))
    assert 20 < len(expected) < 250
    by_vectors = scored(pool_of(vectors.tolist()), values)
    assert kept(by_vectors, 300, of="e.embedding", threshold=0.7) == expected
    assert kept(scored(pool_of_cosines(cosine), values), 300, graph="knn", threshold=0.7) == (
        expected
    )


def test_what_is_not_visited_comes_before_what_is_skipped():
    found = choice(scored(pool_of_cosines(np.eye(3)[[0, 0, 2]])), 1, graph="knn", threshold=0.5)
    assert found.order.tolist() == [0, 2, 1]
    assert found.reason[[1, 2]].tolist() == ["too like a kept row", "over budget"]
    assert found.margin.tolist() == pytest.approx([0, -0.5, -0.02])


@pytest.mark.parametrize(("threshold", "expected"), [(0.9, [0]), (1.0, [0, 1])])
def test_copies(threshold, expected):
    ids = ["a", "a"]
    vectors = scored(pool_of([[0.6, 0.8]] * 2, ids=ids))
    assert kept(vectors, 2, of="e.embedding", threshold=threshold) == expected
    places = scored(graph_pool([[], []], [[], []], place=[0, 0], ids=ids))
    assert kept(places, 2, graph="knn", threshold=threshold) == expected


def test_rows_without_a_vector_are_never_kept():
    pool = scored(pool_of([None, [1.0, 0], None], ["ok", "ok", "empty"]))
    found = choice(pool, 3, of="e.embedding")
    assert found.order.tolist() == [1, 0, 2]
    assert found.n_kept == 1
    assert found.reason[[0, 2]].tolist() == ["no_vector", "empty"]
    assert np.isnan(found.margin[[0, 2]]).all()


def test_budget_in_tokens():
    pool = scored(pool_of(np.eye(4).tolist()))
    assert kept(pool, 25, "tokens", of="e.embedding") == [0, 1]


def test_lists_that_may_be_too_short(caplog):
    """With one neighbour each, that 2 is like 0 as well is not seen."""
    pool = scored(graph_pool([[1], [0], [1]], [[0.99], [0.99], [0.98]]))
    with caplog.at_level(logging.WARNING):
        assert kept(pool, 3, graph="knn") == [0, 2]
    assert "all 1 neighbours of 3 of 3 rows lie above the threshold" in caplog.text
    caplog.clear()
    kept(scored(pool_of_cosines(CHAIN)), 3, graph="knn", threshold=0.97)
    assert caplog.text == ""


def test_lists_of_all_other_rows_are_not_too_short(caplog):
    alike = pool_of_cosines(np.full((4, 4), 0.95))
    assert kept(scored(alike), 4, graph="knn") == [0]
    assert kept(scored(alike.take([0, 2, 3])), 4, graph="knn") == [0]  # also where few are left
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "give either of"),
        ({"graph": "knn", "of": "e.embedding"}, "give either of"),
        ({"graph": "knn", "weights": "e.weights"}, "weights belong to `of`"),
        ({"of": "data.v"}, "must be the column of a signal"),
    ],
)
def test_settings(fields, message):
    with pytest.raises(ValueError, match=message):
        DiverseTopK(by="s.score", **fields)


def test_contract():
    vectors, cosine = random_cosines(40)
    of = DiverseTopK(by="s.score", of="e.embedding", threshold=0.5)
    check_selector(of, scored(pool_of([*vectors.tolist(), None, None])), 9)
    check_selector(
        DiverseTopK(by="s.score", graph="knn", threshold=0.5), scored(pool_of_cosines(cosine)), 9
    )
