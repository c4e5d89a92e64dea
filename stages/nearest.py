"""The nearest rows by cosine: among all rows, or in the lists of an inverted file.

faiss proposes more rows than are wanted; then their cosines are computed again, in double precision
and each on its own, rounded to fp32, and of equal ones the row in front comes first.

Among all rows the result is the exact one. The last digits of the fp32 products that faiss goes by
depend on the number of threads, so that of rows that are nearly as near it may propose one or the
other. Where a row that was not proposed might still be as near as the last one that is taken, given
the rounding error of the products, the row is compared with all others in double precision. Of n
numbers that error is taken to be at most 8 sqrt(n) 2^-24 (Higham and Mary 2019: larger ones have
a probability of next to nothing).

The lists are the nearest of so many centroids, and only the rows of the `probes` nearest lists are
compared. Training and the choice of lists use one thread, so that they depend on no number of them
(an HNSW index would be built by one thread altogether, or depend on which inserts first).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

SPARE = 8  # proposed beside those that are wanted
AT_ONCE = 4096  # rows whose neighbours are looked for; bounds memory, no result
NUMBERS = 1 << 22  # in double precision at a time; likewise
PER_LIST = 64  # rows that train a centroid at most


@dataclass(frozen=True)
class Found:
    """Neighbours, best first.

    Attributes:
        places: (rows, k) int32, -1 where there are no more.
        similarity: (rows, k) float32 cosines, -inf likewise.
    """

    places: np.ndarray
    similarity: np.ndarray


def nearest_of_all(vectors: np.ndarray, rows: np.ndarray, k: int, threads: int = 1) -> Found:
    """Return the k nearest of all rows to some of them, never the row itself.

    Args:
        vectors: (all rows, numbers) float32 of length 1; beside them this takes 8 bytes per row.
        rows: (rows,) their places.
        k: how many.
        threads: of faiss; changes nothing.
    """
    import faiss  # heavy, and only the process that fits needs it

    faiss.omp_set_num_threads(threads)
    n, numbers = vectors.shape
    width, error = min(k + 1 + SPARE, n), 8 * np.sqrt(numbers) * 2.0**-24
    lengths, found = _lengths(vectors), _nobody(len(rows), k)
    for start in range(0, len(rows), AT_ONCE):
        some, to = rows[start : start + AT_ONCE], slice(start, start + AT_ONCE)
        products, proposed = faiss.knn(
            vectors[some], vectors, width, metric=faiss.METRIC_INNER_PRODUCT
        )
        best = _ranked(vectors, lengths, some, proposed, k)
        if width < n:
            unsure = np.flatnonzero(best.similarity[:, -1] <= products[:, -1] + error)
            _compare_with_all(vectors, lengths, some, unsure, best)
        found.places[to], found.similarity[to] = best.places, best.similarity
    return found


def nearest_in_lists(
    vectors: np.ndarray, k: int, lists: int, probes: int, seed: int, threads: int = 1
) -> Found:
    """Return the k nearest rows to each row in the lists that are nearest to it.

    Args:
        vectors: (rows, numbers) float32 of length 1; faiss holds them a second time.
        k: how many, never the row itself; fewer where the lists hold fewer.
        lists: how many there are, at most as many as rows.
        probes: how many are looked through.
        seed: of the centroids.
        threads: of faiss; changes nothing.
    """
    import faiss

    numbers, width = vectors.shape[1], k + 1 + SPARE
    faiss.omp_set_num_threads(1)
    centroids: Any = faiss.IndexFlatIP(numbers)  # its stubs are of C++, not of the wrappers
    index: Any = faiss.IndexIVFFlat(centroids, numbers, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.niter, index.cp.spherical = seed % (1 << 31), 10, True
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, PER_LIST
    index.train(vectors)
    index.add(vectors)
    index.nprobe = min(probes, lists)
    lengths, found = _lengths(vectors), _nobody(len(vectors), k)
    for start in range(0, len(vectors), AT_ONCE):
        block, to = vectors[start : start + AT_ONCE], slice(start, start + AT_ONCE)
        faiss.omp_set_num_threads(1)
        products, probed = centroids.search(block, index.nprobe)
        faiss.omp_set_num_threads(threads)
        _, proposed = index.search_preassigned(block, width, probed, products)
        best = _ranked(vectors, lengths, np.arange(start, start + len(block)), proposed, k)
        found.places[to], found.similarity[to] = best.places, best.similarity
    return found


def recall(found: Found, exact: Found) -> float:
    """Return the share of the exact neighbours that were found, 1 where there are none.

    A row as near as the last exact neighbour counts as one.
    """
    wanted = exact.places >= 0
    if not wanted.any():
        return 1.0
    last = np.where(wanted, exact.similarity, np.inf).min(1, initial=np.inf)
    hits = (found.places >= 0) & (found.similarity >= last[:, None])
    return float(np.minimum(hits.sum(1), wanted.sum(1)).sum() / wanted.sum())


def cosines(
    vectors: np.ndarray, lengths: np.ndarray, rows: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """Return the cosine of each row with its others, (rows, others) float32.

    Args:
        vectors: (all rows, numbers) float32.
        lengths: (all rows,) float64.
        rows: (rows,) places.
        others: (rows, others) places of others; of a negative one the cosine means nothing.
    """
    cosine = np.empty(others.shape, np.float32)
    at_once = max(NUMBERS // max(others.shape[1] * vectors.shape[1], 1), 1)
    for start in range(0, len(rows), at_once):
        some, to = rows[start : start + at_once], slice(start, start + at_once)
        products = vectors[others[to]].astype(np.float64)
        products *= vectors[some].astype(np.float64)[:, None]
        cosine[to] = products.sum(-1) / (lengths[some][:, None] * lengths[others[to]])
    return cosine


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """The length of each vector, summed as `cosines` does: equal vectors have the cosine 1."""
    at_once = max(NUMBERS // max(vectors.shape[1], 1), 1)
    blocks = [
        np.square(vectors[start : start + at_once].astype(np.float64)).sum(-1)
        for start in range(0, len(vectors), at_once)
    ]
    lengths: np.ndarray = np.sqrt(np.concatenate([np.empty(0), *blocks]))
    return lengths


def _nobody(rows: int, k: int) -> Found:
    return Found(np.full((rows, k), -1, np.int32), np.full((rows, k), -np.inf, np.float32))


def _ranked(
    vectors: np.ndarray, lengths: np.ndarray, rows: np.ndarray, proposed: np.ndarray, k: int
) -> Found:
    """The best k of the proposed rows; -1 proposes nobody."""
    similarity = cosines(vectors, lengths, rows, proposed)
    similarity[(proposed < 0) | (proposed == rows[:, None])] = -np.inf
    order = np.lexsort((proposed, -similarity), axis=-1)[:, :k]
    found, width = _nobody(len(rows), k), order.shape[1]
    found.similarity[:, :width] = np.take_along_axis(similarity, order, 1)
    found.places[:, :width] = np.take_along_axis(proposed, order, 1)
    found.places[np.isneginf(found.similarity)] = -1
    return found


def _compare_with_all(
    vectors: np.ndarray, lengths: np.ndarray, rows: np.ndarray, unsure: np.ndarray, best: Found
) -> None:
    """Put the exact neighbours of the unsure rows into what was found."""
    n, k = len(vectors), best.places.shape[1]
    at_once = max(8 * NUMBERS // n, 1)
    for start in range(0, len(unsure), at_once):
        some = unsure[start : start + at_once]
        own = vectors[rows[some]].astype(np.float64)
        products = np.empty((len(some), n))
        for first in range(0, n, AT_ONCE):
            block = slice(first, first + AT_ONCE)
            products[:, block] = own @ vectors[block].astype(np.float64).T / lengths[block]
        products /= lengths[rows[some]][:, None]
        products[np.arange(len(some)), rows[some]] = -np.inf
        least = np.partition(products, n - k, axis=1)[:, n - k] - 2e-7
        for place, bound, own_products in zip(some, least, products, strict=True):
            near = np.flatnonzero(own_products >= bound)[None]  # also what fp32 makes equal
            one = _ranked(vectors, lengths, rows[place : place + 1], near, k)
            best.places[place], best.similarity[place] = one.places[0], one.similarity[0]
