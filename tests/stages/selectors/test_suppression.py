import numpy as np
import pytest
from tamis.scorers.features import Features
from tamis.stages.selectors import suppression
from tamis.stages.selectors.graph import read_graph
from tamis.stages.selectors.suppression import NOWHERE, KeptPlaces, KeptVectors
from tamis.tests.stages.selectors.test_coverage import THREE, random_cosines, vectors_of
from tamis.tests.stages.selectors.test_graph import graph_pool, pool_of_cosines
from tamis.tests.stages.selectors.test_k_center import pool_of


def by_vectors(vectors):
    pool = pool_of(vectors)
    return KeptVectors(pool, np.arange(len(pool)), Features("e.embedding"))


def by_places(pool):
    return KeptPlaces(read_graph(pool, "knn"), np.arange(len(pool)))


@pytest.mark.parametrize("kind", ["vectors", "graph"])
def test_only_kept_rows_count(kind):
    vectors = vectors_of(THREE).tolist()
    kept = by_vectors(vectors) if kind == "vectors" else by_places(pool_of_cosines(THREE))
    assert kept.nearest(0) == -1
    kept.keep(0)
    assert kept.nearest(1) == pytest.approx(0.8)
    assert kept.nearest(2) == pytest.approx(0.1)
    kept.keep(1)
    assert kept.nearest(2) == pytest.approx(0.2)


def test_blocks_change_nothing(monkeypatch):
    vectors, cosine = random_cosines(60)
    found = []
    for at_once in (7, 256):
        monkeypatch.setattr(suppression, "AT_ONCE", at_once)
        kept = by_vectors(vectors.tolist())
        found.append([])
        for turn in range(60):
            found[-1].append(kept.nearest(turn))
            if turn % 3 == 0:
                kept.keep(turn)
    expected = [cosine[t, [i for i in range(t) if i % 3 == 0]].max(initial=-1) for t in range(60)]
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    assert found[0] == found[1]


def test_edges_count_either_way():
    """0 has 1 in its list, 2 has 0: both are near 0; 3 is not."""
    kept = by_places(graph_pool([[1], [3], [0], [1]], [[0.9], [0.5], [0.7], [0.5]]))
    kept.keep(0)
    found = [kept.nearest(turn) for turn in range(4)]
    assert found == pytest.approx([1, 0.9, 0.7, -1])


def test_rows_without_a_vector_are_nowhere():
    kept = by_vectors([[1.0, 0], None, [1, 0]])
    kept.nearest(0)
    kept.keep(0)
    assert [kept.nearest(1), kept.nearest(2)] == [NOWHERE, 1.0]
    assert by_vectors([None, None]).nearest(1) == NOWHERE
    assert by_places(graph_pool([None], [None], [None])).nearest(0) == NOWHERE
