import numpy as np
import pytest
from tamis.stages import measures, nearest
from tamis.stages.measures import Cosine
from tamis.stages.nearest import Among, Found, nearest_of_all, recall_of


def unit_rows(n, numbers=24, groups=12, spread=0.6, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(groups, numbers))
    vectors = centres[rng.integers(0, groups, n)] + spread * rng.normal(size=(n, numbers))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def by_sorting(vectors, k):
    """The textbook: all cosines, sorted; equal ones by place."""
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    cosine = (exact @ exact.T).astype(np.float32)
    np.fill_diagonal(cosine, -np.inf)
    order = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(cosine, order, 1)


def every(vectors):
    return np.arange(len(vectors))


def test_by_hand():
    """Four directions in the plane at 0, 10, 30 and 100 degrees."""
    angles = np.radians([0, 10, 30, 100])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    found = nearest_of_all(Cosine.of(vectors), every(vectors), 2)
    assert found.places.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    wanted = np.cos(np.radians([[10, 30], [10, 20], [20, 30], [70, 90]]))
    np.testing.assert_allclose(found.similarity, wanted, atol=1e-6)


def test_equals_the_textbook():
    vectors = unit_rows(600)
    places, cosine = by_sorting(vectors, 7)
    found = nearest_of_all(Cosine.of(vectors), every(vectors), 7)
    np.testing.assert_array_equal(found.places, places)
    np.testing.assert_allclose(found.similarity, cosine, atol=1e-7)
    some = nearest_of_all(Cosine.of(vectors), np.array([5, 599]), 7)
    np.testing.assert_array_equal(some.places, places[[5, 599]])


def test_more_equal_rows_than_are_proposed():
    """Fifty rows with one vector: neighbours are the first of them, with a cosine of exactly 1."""
    vectors = unit_rows(300)
    same = np.arange(3, 300, 6)
    vectors[same] = vectors[3]
    found = nearest_of_all(Cosine.of(vectors), every(vectors), 4)
    assert found.places[3].tolist() == [9, 15, 21, 27]
    assert found.places[same[20]].tolist() == [3, 9, 15, 21]
    assert (found.similarity[same] == 1.0).all()
    np.testing.assert_array_equal(found.places, by_sorting(vectors, 4)[0])


def test_proposals_in_any_order():
    """Rows 2 to 9 are equal, and so are their cosines to row 0; -1 proposes nobody."""
    vectors = np.array([[1, 0], [0, 1], *[[0.6, 0.8]] * 8], np.float32)
    proposed = np.array([[7, 1, -1, 3, 9, 0, 5]])
    found = nearest._ranked(Cosine.of(vectors), np.array([0]), proposed, 4)
    assert found.places.tolist() == [[3, 5, 7, 9]]
    assert found.similarity.tolist() == [[np.float32(0.6)] * 4]


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_fewer_rows_than_neighbours(n):
    found = nearest_of_all(Cosine.of(unit_rows(n)), np.arange(n), 4)
    assert found.places.shape == (n, 4)
    assert ((found.places >= 0).sum(1) == min(n - 1, 4)).all()
    assert (np.isneginf(found.similarity) == (found.places < 0)).all()
    assert not (found.places == np.arange(n)[:, None]).any()


class TestThreadsAndBlocks:
    VECTORS = np.concatenate([unit_rows(1500), np.repeat(unit_rows(3, seed=1), 40, axis=0)])

    def test_all_rows(self, monkeypatch):
        found = [
            nearest_of_all(Cosine.of(self.VECTORS), every(self.VECTORS), 5, n) for n in (1, 2, 3)
        ]
        monkeypatch.setattr(nearest, "AT_ONCE", 77)
        monkeypatch.setattr(nearest, "COMPARED", 9000)
        monkeypatch.setattr(measures, "NUMBERS", 1000)
        monkeypatch.setattr(measures, "COLUMNS", 50)
        found.append(nearest_of_all(Cosine.of(self.VECTORS), every(self.VECTORS), 5))
        for other in found[1:]:
            np.testing.assert_array_equal(other.places, found[0].places)
            np.testing.assert_array_equal(other.similarity, found[0].similarity)

    def test_few_rows_among_some(self):
        """Fewer rows than faiss multiplies as a matrix by itself."""
        some = np.arange(0, len(self.VECTORS), 2)
        among = Among(Cosine.of(self.VECTORS), some, self.VECTORS[some])
        places, cosine = by_sorting(self.VECTORS[some], 5)
        for rows in (some[:3], some[700:]):
            found, at = among.nearest(rows, 5), rows // 2
            np.testing.assert_array_equal(found.places, some[places[at]])
            np.testing.assert_allclose(found.similarity, cosine[at], atol=1e-7)


def test_leaves_a_setting_of_faiss_as_it_was():
    import faiss

    before = faiss.cvar.distance_compute_blas_threshold
    nearest_of_all(Cosine.of(unit_rows(30)), np.arange(3), 4)
    assert faiss.cvar.distance_compute_blas_threshold == before


def test_recall_by_hand():
    """Two of three found; of equal cosines any counts; who has no neighbour misses none."""
    exact = Found(np.array([[1, 2, 3]]), np.array([[0.9, 0.8, 0.7]]))
    assert recall_of(Found(np.array([[1, 2, 9]]), np.array([[0.9, 0.8, 0.6]])), exact) == 2 / 3
    assert recall_of(Found(np.array([[1, 2, 9]]), np.array([[0.9, 0.8, 0.7]])), exact) == 1
    nobody = Found(np.array([[-1]]), np.array([[-np.inf]]))
    assert recall_of(nobody, nobody) == 1
    assert recall_of(Found(np.array([[-1]]), np.array([[-np.inf]])), exact) == 0
