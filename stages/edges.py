"""A graph of points: an edge for every pair of which one is among the nearest of the other."""

import numpy as np
from scipy import sparse

from .copies import Copies
from .measures import Distance
from .nearest import nearest_of_all


def nearest(vectors: np.ndarray, n: int, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the n nearest others of each point, and how far they are, nearest first.

    Of equally far ones the point in front comes first.

    Args:
        vectors: (points, numbers) fp32.
        n: less than the number of points.
        threads: take so many points at a time; changes nothing.

    Returns:
        (points, n) int32, and float64 rounded to fp32, Euclidean.
    """
    copies = Copies.of(vectors)
    measure = Distance.of(vectors[copies.first])
    every = np.arange(len(copies.first))
    found = copies.spread(nearest_of_all(measure, every, n, threads), 0.0)
    return found.places, -found.similarity.astype(np.float64)


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
