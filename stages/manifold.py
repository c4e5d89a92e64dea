"""Diffusion coordinates of a pool's points, and the similarities that their clusters are made from.

form        affinities                                      similarities
exact       of all pairs                                    of all pairs
landmarks   of all points with the landmarks, and what      of all points with the landmarks
            these say of all pairs (`scorers.diffusion`)
graph       of each point's nearest ones, and the mean      on the edges of that graph
            degree spread over all pairs

Landmarks are drawn points, `LANDMARKS` or 8 for each cluster. Affinities as wide as distances vary
slowly over the points, so that few say all: of 3,000 embeddings the ten leading coordinates span
what those of the exact form span (least cosine 0.9999). Those of the graph do not (0.07).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from ..errors import DataError
from ..scorers.diffusion import (
    Spectrum,
    affinities,
    exact_spectrum,
    landmark_map,
    landmark_spectrum,
    sparse_spectrum,
)
from .edges import graph, nearest
from .measures import Distance
from .nearest import nearest_of_all

Width = float | Literal["median", "neighbours"]

MATRICES = 5
"""Of all pairs, that are there at once."""
LANDMARKS, PER_CLUSTER, RANK = 2_048, 8, 256
TALL = 3
"""Matrices of points and landmarks, fp32, that are there at once."""
POINTS_AT_ONCE = 1_024  # bounds memory
ALONE = 2.0**-52
"""What affinities to others add up to, of a point that doubles take for one without any."""
ALL_ALIKE = 1e4
"""A sigma of so many times the largest distance leaves affinities eight equal digits."""


@dataclass(frozen=True)
class Mapped:
    """Diffusion coordinates of points.

    Attributes:
        spectrum: of the points.
        edges: similarities are on them only; None: of all pairs, or
        columns: with so many of the points, the first.
    """

    spectrum: Spectrum
    edges: sparse.csr_array | None = None
    columns: int | None = None


@dataclass(frozen=True)
class Manifold:
    """How coordinates are made.

    Attributes:
        name: of what messages speak.
        sigma: width of the affinities: a number, the median of all distances, or of those to
            neighbours.
        neighbours: of each point, in the graph and for sigma.
        seed: of what is drawn.
        memory_mb: for matrices.
        threads: of the search for neighbours; changes nothing.
    """

    name: str
    sigma: Width
    neighbours: int
    seed: int
    memory_mb: int
    threads: int = 1

    def exact(self, vectors: np.ndarray, n: int) -> Mapped:
        """Return n coordinates and the trivial one of points, (points, numbers) fp32.

        Raises:
            DataError: memory, or a sigma that tells nothing.
        """
        from scipy.spatial.distance import cdist

        self._check_memory(MATRICES * 8 * len(vectors) ** 2, f"all pairs of {len(vectors):,} rows")
        distances, near = cdist(vectors, vectors), None
        if self.sigma == "neighbours":
            near = np.sort(distances, axis=1)[:, 1 : self.neighbours + 1]
        sigma = self._width(distances, near)
        affinity = affinities(distances, sigma)
        self._check_width(sigma, distances, affinity.sum(1) - 1)
        del distances
        return Mapped(exact_spectrum(affinity, n + 1))

    def by_landmarks(self, vectors: np.ndarray, n: int) -> Mapped:
        """Return the same of points in the order of their draws: the first are the landmarks.

        Raises:
            DataError: as for `exact`.
        """
        from scipy.spatial.distance import cdist

        points, landmarks = len(vectors), min(max(LANDMARKS, PER_CLUSTER * n), len(vectors))
        rank = min(max(RANK, 2 * n), landmarks)
        self._check_memory(
            points * (TALL * 4 * landmarks + 2 * 8 * rank),
            f"{landmarks:,} landmarks of {points:,} rows",
        )
        marks, near = vectors[:landmarks], None
        distances = cdist(marks, marks)
        if self.sigma == "neighbours":
            wanted, measure = min(self.neighbours, points - 1), Distance.of(vectors)
            found = nearest_of_all(measure, np.arange(landmarks), wanted, self.threads)
            near = -found.similarity
        sigma = self._width(distances, near)
        affinity = affinities(distances, sigma)
        self._check_width(sigma, distances, affinity.sum(1) - 1)
        mapping = landmark_map(affinity, rank)
        factor = np.empty((points, mapping.shape[1]))
        for start in range(0, points, POINTS_AT_ONCE):
            block = slice(start, start + POINTS_AT_ONCE)
            factor[block] = affinities(cdist(vectors[block], marks), sigma) @ mapping
        return Mapped(landmark_spectrum(factor, n + 1), columns=landmarks)

    def by_graph(self, vectors: np.ndarray, n: int) -> Mapped:
        """Return the same of points in the order of their draws.

        Raises:
            DataError: as for `exact`, or eigenvectors that are not found.
        """
        from scipy.sparse.linalg import ArpackNoConvergence
        from scipy.spatial.distance import cdist

        places, near = nearest(vectors, min(self.neighbours, len(vectors) - 1), self.threads)
        sample = vectors[:LANDMARKS]
        distances = cdist(sample, sample)
        sigma = self._width(distances, near)
        edges = graph(places, affinities(near, sigma))
        self._check_width(sigma, distances, edges.sum(1) - 1)
        degree = float(edges.sum()) / len(vectors)
        try:
            return Mapped(sparse_spectrum(edges, n + 1, degree, self.seed), edges)
        except ArpackNoConvergence as error:
            raise DataError(
                f"{self.name}: the eigenvectors of the neighbour graph were not found ({error}); "
                f"take more neighbours than {self.neighbours}"
            ) from error

    def _check_memory(self, bytes_: int, what: str) -> None:
        needed = -(-bytes_ >> 20)
        if needed > self.memory_mb:
            raise DataError(
                f"{self.name}: {what} take {needed:,} MB, and memory_mb is {self.memory_mb:,}; set "
                f"memory_mb to {needed} or more, or take mode paper in a form that needs less"
            )

    def _width(self, distances: np.ndarray, near: np.ndarray | None) -> float:
        if not isinstance(self.sigma, str):
            return self.sigma
        sigma = float(np.median(distances if self.sigma == "median" or near is None else near))
        if sigma == 0:
            raise DataError(
                f"{self.name}: sigma ({self.sigma}) is 0, as most of these rows have the same "
                f"vector; give sigma a number"
            )
        return sigma

    def _check_width(self, sigma: float, distances: np.ndarray, others: np.ndarray) -> None:
        """Raise where affinities say nothing.

        Args:
            sigma: the width.
            distances: of points, all or drawn ones.
            others: what the affinities of a point to others add up to.
        """
        alone = float(np.median(others)) < ALONE
        if alone or sigma > ALL_ALIKE * float(distances.max()):
            what = "most rows are near to nobody" if alone else "all rows are alike"
            raise DataError(
                f"{self.name}: with a sigma of {sigma:g} {what}: the median of their distances is "
                f"{float(np.median(distances)):.4g}; take a "
                f"{'larger' if alone else 'smaller'} sigma"
            )
