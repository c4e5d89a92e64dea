"""A graph of points: an edge for every pair of which one is among the nearest of the other."""

import numpy as np
from scipy import sparse

from .nearest import side_by_side

SPARE = 8  # candidates beyond those kept, since fp32 tells near ones badly apart
SEARCHED_AT_ONCE, ROWS_AT_ONCE = 1024, 256  # bound memory


def nearest(vectors: np.ndarray, n: int, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the n nearest others of each point, and how far they are, nearest first.

    faiss finds candidates among all points in fp32; their distances are then taken anew in
    float64, and of equal ones the point in front comes first.

    Args:
        vectors: (points, numbers) fp32.
        n: less than the number of points.
        threads: take so many points at a time; changes nothing.

    Returns:
        (points, n) int64 and (points, n) float64, Euclidean.
    """
    import faiss  # heavy, and only the process that fits needs it

    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors)
    wanted = min(n + 1 + SPARE, len(vectors))
    places = np.empty((len(vectors), n), np.int64)
    distances = np.empty((len(vectors), n))

    def search(start: int) -> None:
        found = index.search(vectors[start : start + SEARCHED_AT_ONCE], wanted)[1]
        for low in range(0, len(found), ROWS_AT_ONCE):
            some = found[low : low + ROWS_AT_ONCE]
            own = np.arange(start + low, start + low + len(some))
            places[own], distances[own] = _closest(vectors, own, some, n)

    side_by_side(search, range(0, len(vectors), SEARCHED_AT_ONCE), threads)
    return places, distances


def graph(places: np.ndarray, values: np.ndarray) -> sparse.csr_array:
    """Return a symmetric graph: an edge where one point is among the nearest of the other.

    And 1 from each point to itself.

    Args:
        places: (points, n) as from `nearest`.
        values: (points, n) of the edges, above 0; the same from both ends.
    """
    points, n = places.shape
    rows = np.repeat(np.arange(points), n)
    half = sparse.csr_array((values.ravel(), (rows, places.ravel())), shape=(points, points))
    whole = half.maximum(half.T) + sparse.eye_array(points, format="csr")
    whole.sort_indices()
    return sparse.csr_array(whole)


def _closest(
    vectors: np.ndarray, own: np.ndarray, found: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """The n nearest of the candidates of some points, without the points themselves."""
    found = np.sort(found, axis=1)
    apart = vectors[found].astype(np.float64) - vectors[own, None]
    distances = np.linalg.norm(apart, axis=2)
    distances[found == own[:, None]] = np.inf  # so that copies of the point stay
    order = np.argsort(distances, axis=1, kind="stable")[:, :n]
    return np.take_along_axis(found, order, 1), np.take_along_axis(distances, order, 1)
