import numpy as np
import pyarrow as pa
import pytest
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.facility_location import FacilityLocation
from tamis.tests.stages.selectors.test_coverage import THREE, random_cosines, vectors_of
from tamis.tests.stages.selectors.test_graph import graph_pool, pool_of_cosines
from tamis.tests.stages.selectors.test_k_center import pool_of

POINTS = pool_of([[0.0], [1.0], [2.0], [6.0]])


def choice(pool, limit, cost=None, **fields):
    return FacilityLocation(**fields)(pool, Budget(limit, cost))


def kept(pool, limit, cost=None, **fields):
    found = choice(pool, limit, cost, **fields)
    return found.order[: found.n_kept].tolist()


def test_golden_points_on_a_line():
    """Similarity e^-distance: gains 1.742497, 0.993262, 0.632121."""
    found = choice(POINTS, 3, of="e.embedding", similarity="euclidean")
    assert found.order.tolist() == [1, 3, 0, 2]
    gains = [1.742497, 0.993262, 0.632121]
    assert found.worth[[1, 3, 0]].tolist() == pytest.approx(gains, abs=1e-6)
    assert found.margin[1] == pytest.approx(gains[0] - gains[2], abs=1e-6)
    assert found.margin[2] == pytest.approx(0, abs=1e-6)  # it would add as much as row 0 did


def test_golden_similarities():
    """Row 1 adds 2.0; with it row 2 makes 2.8, row 0 makes 2.2."""
    assert kept(pool_of_cosines(THREE), 2, graph="knn") == [1, 2]
    assert kept(pool_of(vectors_of(THREE).tolist()), 2, of="e.embedding") == [1, 2]


def test_score_and_coverage():
    """Half and half: row 0 adds .5 * 1.9 + .5, rows 1 and 2 1.0 and .65; then row 2 .45."""
    score = pa.array([1.0, 0.0, 0.0], pa.float32())
    pool = pool_of_cosines(THREE, **{"s.score": score})
    found = choice(pool, 2, graph="knn", by="s.score", quality=0.5)
    assert found.order.tolist() == [0, 2, 1]
    assert found.worth.tolist() == pytest.approx([1.45, 0.1, 0.45])
    only = choice(pool, 1, graph="knn", by="s.score", quality=1.0)
    assert only.worth.tolist() == [1, 0, 0]


def test_graph_of_all_neighbours_is_all_pairs():
    vectors, cosine = random_cosines(60)
    by_graph = choice(pool_of_cosines(cosine), 20, graph="knn")
    by_vectors = choice(pool_of(vectors.tolist()), 20, of="e.embedding")
    assert by_graph.order[:20].tolist() == by_vectors.order[:20].tolist()
    np.testing.assert_allclose(by_graph.worth, by_vectors.worth, atol=1e-5)


@pytest.mark.parametrize("kind", ["graph", "of"])
def test_copies_count_and_come_last(kind):
    """Two rows a and one b, which are no neighbours: a covers 2, and its copy nothing more."""
    ids = ["b", "a", "a"]
    if kind == "graph":
        pool = graph_pool([[0], [1], [1]], [[0.0]] * 3, place=[1, 0, 0], ids=ids)
        found = choice(pool, 3, graph="knn")
    else:
        found = choice(pool_of([[0, 1.0], [1.0, 0], [1.0, 0]], ids=ids), 3, of="e.embedding")
    assert found.order.tolist() == [1, 0, 2]
    assert found.worth.tolist() == [1, 2, 0]
    assert found.n_kept == 3


def test_rows_without_are_never_kept():
    status = ["ok", "no_vector", "ok", "empty"]
    pool = graph_pool([[1], None, [0], None], [[0.5], None, [0.5], None], [0, None, 1, None])
    pool = pool.set_column(5, "knn.status", pa.array(status))
    found = choice(pool, 4, graph="knn")
    assert found.order[: found.n_kept].tolist() == [0, 2]
    assert found.reason[[1, 3]].tolist() == ["no_vector", "empty"]
    vectors = pool_of([[1.0, 0], None, [0, 1.0], None], status)
    assert kept(vectors, 4, of="e.embedding") == [0, 2]


def test_budget_in_tokens():
    assert kept(POINTS, 25, "tokens", of="e.embedding", similarity="euclidean") == [1, 3]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "give either graph"),
        ({"graph": "knn", "of": "e.embedding"}, "give either graph"),
        ({"graph": "knn", "similarity": "euclidean"}, "belong to `of`"),
        ({"graph": "knn", "quality": 0.5}, "quality and by belong together"),
        ({"graph": "knn", "by": "s.score"}, "quality and by belong together"),
        ({"of": "data.v"}, "must be the column of a signal"),
    ],
)
def test_settings(fields, message):
    with pytest.raises(ValueError, match=message):
        FacilityLocation(**fields)


def test_contract():
    vectors, cosine = random_cosines(40)
    check_selector(FacilityLocation(graph="knn"), pool_of_cosines(cosine), 9)
    check_selector(FacilityLocation(of="e.embedding"), pool_of([*vectors.tolist(), None, None]), 9)
