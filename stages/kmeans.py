"""Centroids of vectors by k-means, and the nearest one.

    lloyd      faiss: Lloyd's iterations over all vectors
    minibatch  scikit-learn: steps by 1,024 drawn vectors at a time (Sculley 2010, "Web-scale
               k-means clustering"), at most `iterations` times through all, then one of Lloyd's

    random     begin with k vectors that the seed draws
    plusplus   with vectors that lie far from those drawn before (Arthur & Vassilvitskii 2007,
               "k-means++", the greedy form), four times anew; what leaves the least inertia is kept

Inertia is the sum of squared distances to the nearest centroid. Training takes one thread: with
more, the last digits of products depend on how many, and where vectors have copies, or near ones,
last digits decide where a vector goes, and in the end where centroids lie.
"""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..scorers.matrices import unit

Method = Literal["lloyd", "minibatch"]
Start = Literal["random", "plusplus"]

STARTS = 4  # of `plusplus`
BATCH = 1_024  # vectors of a step of `minibatch`, scikit-learn's own number
ROWS_AT_ONCE = 256  # bounds memory


@dataclass(frozen=True)
class Training:
    """How centroids are trained.

    Attributes:
        method, start: see above.
        iterations: of Lloyd's, or how often `minibatch` goes through all at most.
        seed: what is drawn goes by it.
        spherical: centroids have length 1; of `lloyd`.
    """

    method: Method = "lloyd"
    start: Start = "random"
    iterations: int = 25
    seed: int = 0
    spherical: bool = False

    def centroids(self, vectors: np.ndarray, k: int) -> np.ndarray:
        """Return centroids (k, numbers) fp32, each the mean of the vectors nearest to it before.

        One that is nearest to none stays where it is.

        Args:
            vectors: (vectors, numbers) fp32, in an order that does not depend on the pool's.
            k: at most as many.
        """
        import faiss  # noqa: F401 - the limit is for what is loaded
        from threadpoolctl import threadpool_limits  # comes with scikit-learn

        starts = 1 if self.start == "random" else STARTS
        with threadpool_limits(1):
            trained = [
                self._settled(vectors, self._from(vectors, k, self.seed + i)) for i in range(starts)
            ]
            left = [inertia(vectors, found) for found in trained] if starts > 1 else [0.0]
        return trained[left.index(min(left))]  # of equal ones the first

    def _from(self, vectors: np.ndarray, k: int, seed: int) -> np.ndarray:
        if self.method == "minibatch":
            return self._minibatch(vectors, k, seed)
        if self.start == "random":
            return self._lloyd(vectors, k, seed, None)
        from sklearn.cluster import kmeans_plusplus  # heavy, and only the process that fits

        first = kmeans_plusplus(vectors, k, random_state=seed % (1 << 31))[0]
        return self._lloyd(vectors, k, seed, first)

    def _lloyd(
        self, vectors: np.ndarray, k: int, seed: int, first: np.ndarray | None
    ) -> np.ndarray:
        import faiss  # heavy, and only the process that fits needs it

        trained = faiss.Kmeans(
            vectors.shape[1],
            k,
            niter=self.iterations,
            seed=seed % (1 << 31),
            spherical=self.spherical,
            min_points_per_centroid=1,  # no warnings
            max_points_per_centroid=len(vectors),  # the sample is drawn already
        )
        trained.train(vectors, init_centroids=first)
        return np.asarray(trained.centroids).reshape(k, -1)

    def _minibatch(self, vectors: np.ndarray, k: int, seed: int) -> np.ndarray:
        from sklearn.cluster import MiniBatchKMeans  # heavy, and only the process that fits
        from sklearn.exceptions import ConvergenceWarning

        model = MiniBatchKMeans(
            k,
            init="k-means++" if self.start == "plusplus" else "random",
            n_init=1,
            max_iter=self.iterations,
            batch_size=BATCH,
            random_state=seed % (1 << 31),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct vectors than k
            return np.asarray(model.fit(vectors).cluster_centers_, np.float32)

    def _settled(self, vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
        """The means of their vectors: faiss moves one a little to fill an empty cluster."""
        return means(centroids, *members(vectors, centroids), self.spherical)


def nearest(
    vectors: np.ndarray, centroids: np.ndarray, prices: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of the nearest centroid of each vector, and how far it is.

    Places are compared after rounding to fp32, the first of equal ones taken, and the distance is
    of the row alone: so neither depends on the other rows.

    Args:
        vectors: (rows, numbers) float64.
        centroids: (centroids, numbers) float64.
        prices: (centroids,) float64 that are added to squared distances where they are compared.

    Returns:
        (rows,) int32 and float32; anything for a row of NaN.
    """
    halves = np.square(centroids).sum(1) / 2
    if prices is not None:
        halves = halves + prices / 2
    close = (vectors @ centroids.T - halves).astype(np.float32)  # (|x|^2 - |x - c|^2) / 2
    labels = close.argmax(1).astype(np.int32)
    return labels, np.linalg.norm(vectors - centroids[labels], axis=1).astype(np.float32)


def members(
    vectors: np.ndarray, centroids: np.ndarray, prices: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many vectors are nearest to each centroid, (k,), and their sum, (k, numbers)."""
    exact, sizes = centroids.astype(np.float64), np.zeros(len(centroids), np.int64)
    sums = np.zeros(exact.shape)
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        block = vectors[start : start + ROWS_AT_ONCE].astype(np.float64)
        labels = nearest(block, exact, prices)[0]
        sizes += np.bincount(labels, minlength=len(centroids))
        np.add.at(sums, labels, block)
    return sizes, sums


def means(
    centroids: np.ndarray, sizes: np.ndarray, sums: np.ndarray, spherical: bool
) -> np.ndarray:
    """Return the means of what `members` counted, where it counted any, in place of centroids."""
    found, some = centroids.copy(), sizes > 0
    found[some] = sums[some] / sizes[some, None]
    if spherical:
        found = np.nan_to_num(unit(found.astype(np.float64))).astype(np.float32)
    return found


def inertia(vectors: np.ndarray, centroids: np.ndarray) -> float:
    """Return the sum of squared distances of vectors to their nearest centroids."""
    exact, total = centroids.astype(np.float64), 0.0
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        block = vectors[start : start + ROWS_AT_ONCE].astype(np.float64)
        labels = nearest(block, exact)[0]
        total += float(np.square(block - exact[labels]).sum())
    return total
