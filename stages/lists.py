"""The nearest rows by cosine, looked for in an inverted file: in some lists of rows only.

A row lies in the list of its nearest centroid. The rows of a list are compared with those of the
lists whose centroids are nearest to its own, all with all: as a matrix product, a pair of 64
numbers costs a tenth of what it costs where every row looks through lists of its own. How many
lists it takes is read off rows whose neighbours are known.

Making the lists takes one thread, so that it depends on no number of them.
"""

from dataclasses import dataclass

import numpy as np

from .measures import Cosine
from .nearest import AT_ONCE, Among, Found, nobody, side_by_side

PER_LIST = 64  # rows that train a centroid at most
ITERATIONS = 10


@dataclass(frozen=True)
class Lists:
    """Which rows lie together, and which lists near each other; none is empty.

    Attributes:
        owner: (rows,) the list of each row.
        members: the rows of each list, rising.
        nearby: (lists, lists) all lists, those of the nearest centroids first: itself, then others.
    """

    owner: np.ndarray
    members: list[np.ndarray]
    nearby: np.ndarray


def in_lists(vectors: np.ndarray, lists: int, seed: int) -> Lists:
    """Return the rows in at most so many lists, around centroids of unit length.

    Args:
        vectors: (rows, numbers) float32 of length 1.
        lists: at most as many as rows.
        seed: of the rows that train the centroids, and of those that they begin from.
    """
    import faiss  # heavy, and only the process that fits needs it
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    faiss.omp_set_num_threads(1)
    trained = faiss.Kmeans(
        vectors.shape[1],
        lists,
        niter=ITERATIONS,
        seed=seed % (1 << 31),
        spherical=True,
        min_points_per_centroid=1,  # no warnings
        max_points_per_centroid=PER_LIST,
    )
    trained.train(vectors)
    centroids = np.asarray(trained.centroids).reshape(lists, -1)
    _, nearest = faiss.knn(vectors, centroids, 1, metric=faiss.METRIC_INNER_PRODUCT)
    used, owner = np.unique(nearest, return_inverse=True)
    owner = owner.ravel()
    exact = centroids[used].astype(np.float64)
    with threadpool_limits(1):
        cosine = exact @ exact.T
    np.fill_diagonal(cosine, np.inf)
    by_list = np.argsort(owner, kind="stable").astype(np.int32)
    members = np.split(by_list, np.cumsum(np.bincount(owner))[:-1])
    return Lists(owner, members, np.argsort(-cosine, axis=1, kind="stable").astype(np.int32))


def lists_for(lists: Lists, rows: np.ndarray, exact: Found, share: float) -> int:
    """Return how many lists hold a share of the neighbours of some rows, at least 1.

    Args:
        lists: from `in_lists`.
        rows: (rows,) places of rows.
        exact: their neighbours.
        share: from 0 to 1.
    """
    theirs = lists.owner[exact.places]
    held = np.zeros(len(lists.members) + 1, np.int64)  # by how many lists
    for row, others, there in zip(rows, theirs, exact.places >= 0, strict=True):
        rank = np.empty(len(lists.members), np.int64)
        rank[lists.nearby[lists.owner[row]]] = np.arange(1, len(rank) + 1)
        np.add.at(held, rank[others[there]], 1)
    found = np.cumsum(held)
    return max(int(np.searchsorted(found, share * found[-1])), 1)


def nearest_in_lists(
    vectors: np.ndarray, lists: Lists, k: int, probes: int, threads: int = 1
) -> Found:
    """Return the k nearest rows to each row, of those in the lists that are nearest to its own.

    Args:
        vectors: (rows, numbers) float32 of length 1; each thread copies those of `probes` lists.
        lists: of these rows.
        k: how many, never the row itself; fewer where the lists hold fewer.
        probes: how many lists are looked through.
        threads: take so many lists at a time; changes nothing.
    """
    measure, found = Cosine.of(vectors), nobody(len(vectors), k)

    def search(one: int) -> None:
        own, nearby = lists.members[one], lists.nearby[one, :probes]
        places = np.sort(np.concatenate([lists.members[other] for other in nearby]))
        among = Among(measure, places, vectors[places])
        for start in range(0, len(own), AT_ONCE):
            rows = own[start : start + AT_ONCE]
            found.put(rows, among.nearest(rows, k))

    side_by_side(search, range(len(lists.members)), threads)
    return found
