"""Diffusion coordinates of points: where a random walk over their affinities keeps them together.

    A_ij = exp(-d_ij^2 / (2 sigma^2)), A_ii = 1      affinity, d_ij the Euclidean distance
    D_ii = sum_j A_ij
    L    = I - D^-1/2 A D^-1/2                       symmetric normalised Laplacian
    z_i  = ((1 - lambda_k)^t psi_k(i))_k             psi_k = D^-1/2 v_k, L v_k = lambda_k v_k

Coifman & Lafon 2006, "Diffusion maps". lambda_k ascend from 0, and t is the diffusion time. The
random walk's I - D^-1 A has the same eigenvalues, and the psi_k for right eigenvectors; but it is
not symmetric, and a solver for symmetric matrices finds others in it. psi_k are scaled to
sum_i D_ii psi_k(i)^2 = sum_i D_ii, so that psi_0, which belongs to 0, is 1 everywhere: the trivial
one. Where eigenvalues are equal, any rotation of their vectors will do: z_i . z_j is the same.

Of a sparse affinity `tau` can be spread over all pairs: A + tau / n. Without it a few points that
are near each other and to nobody else, such as a row in a dozen wordings, are a cluster to the
Laplacian; with tau the mean degree they are not (Qin & Rohe 2013, arXiv 1309.4111; Zhang & Rohe
2018, arXiv 1806.01468). It also makes the graph connected.

Of many points A is never there as a whole. With C the affinities of all points to some of them, the
landmarks, and W those of the landmarks,

    A ~ F F^T,    F = C U_r diag(w_r)^-1/2,    W = U diag(w) U^T, its r largest eigenvalues

(Williams & Seeger 2001, "Using the Nystroem method to speed up kernel machines"), and the
eigenvectors of D^-1/2 F F^T D^-1/2 come from the r x r matrix F^T D^-1 F. The diagonal is 1 in D.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse

LEAST = 1e-10  # of the largest eigenvalue of the landmarks


@dataclass(frozen=True)
class Spectrum:
    """The smallest eigenvalues of L.

    Attributes:
        values: (n,) ascending, the first 0.
        vectors: (points, n) psi, each with its entry of largest magnitude positive, the
            first of those within 0.1 %.
    """

    values: np.ndarray
    vectors: np.ndarray

    def coordinates(self, n: int, time: float, trivial: bool) -> np.ndarray:
        """Return z, (points, n) float64.

        Args:
            n: how many.
            time: t, from 0.
            trivial: begin with psi_0 and not with psi_1.
        """
        some = slice(0, n) if trivial else slice(1, n + 1)
        # of a kernel every 1 - lambda is at least 0, but for rounding and for a part of its pairs
        weights = np.maximum(1 - self.values[some], 0) ** time
        return np.asarray(self.vectors[:, some] * weights)


def affinities(distances: np.ndarray, sigma: float) -> np.ndarray:
    """Return exp(-d^2 / (2 sigma^2)) of distances of any shape; 0 where doubles know no less."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(np.square(distances / sigma) / -2))


def exact_spectrum(affinity: np.ndarray, n: int) -> Spectrum:
    """Return the n smallest eigenvalues of a whole affinity matrix, (points, points) float64.

    Memory: three such matrices.
    """
    degrees = affinity.sum(1)
    roots = np.sqrt(degrees)
    laplacian = affinity / roots
    laplacian /= -roots[:, None]
    laplacian[np.diag_indices_from(laplacian)] += 1
    values, vectors = linalg.eigh(laplacian, subset_by_index=[0, n - 1], overwrite_a=True)
    return _spectrum(values, vectors, degrees)


def sparse_spectrum(affinity: sparse.csr_array, n: int, tau: float, seed: int) -> Spectrum:
    """Return the n smallest eigenvalues of a sparse affinity, by Lanczos' iterations.

    They are searched as the largest of I - L, which needs no factorisation, with the trivial one,
    which is known, taken out.

    Args:
        affinity: (points, points) symmetric, with its diagonal.
        n: how many, less than the points.
        tau: spread over all pairs, 0 for a graph that is connected.
        seed: of the vector that they start from.

    Raises:
        scipy.sparse.linalg.ArpackNoConvergence: they were not found.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    points = affinity.shape[0]
    degrees = affinity.sum(1) + tau
    roots = np.sqrt(degrees)
    trivial = roots / np.linalg.norm(roots)

    def walk(x: np.ndarray) -> np.ndarray:
        y = x.ravel() / roots
        spread = (affinity @ y + tau / points * y.sum()) / roots
        return np.asarray(spread - trivial * (trivial @ x.ravel()))

    operator = LinearOperator((points, points), matvec=walk, dtype=np.float64)
    start = np.random.default_rng(seed).normal(size=points)
    kept, vectors = eigsh(operator, n - 1, which="LA", v0=start, tol=1e-7, maxiter=100 * points)
    order = np.argsort(-kept, kind="stable")
    values = np.concatenate([[0.0], 1 - kept[order]])
    return _spectrum(values, np.column_stack([trivial, vectors[:, order]]), degrees)


def landmark_map(affinity: np.ndarray, rank: int) -> np.ndarray:
    """Return U_r diag(w_r)^-1/2, (landmarks, r), of the affinities of landmarks to each other.

    Args:
        affinity: (landmarks, landmarks) W.
        rank: r at most; eigenvalues that are next to nothing are left out.
    """
    n = len(affinity)
    values, vectors = linalg.eigh(affinity, subset_by_index=[max(n - rank, 0), n - 1])
    kept = values > LEAST * values[-1]
    return np.asarray(vectors[:, kept] / np.sqrt(values[kept]))


def landmark_spectrum(factor: np.ndarray, n: int) -> Spectrum:
    """Return the n smallest eigenvalues of A = F F^T with a diagonal of 1.

    Args:
        factor: (points, r) F: the affinities of points to landmarks times `landmark_map`.
        n: at most r.
    """
    degrees = factor @ factor.sum(0)
    degrees += 1 - np.square(factor).sum(1)
    degrees = np.maximum(degrees, 1)  # as it is, but for rounding and for what r leaves out
    scaled = factor / np.sqrt(degrees)[:, None]
    values, vectors = linalg.eigh(scaled.T @ scaled)
    values, vectors = values[::-1][:n], vectors[:, ::-1][:, :n]
    return _spectrum(1 - values, scaled @ vectors / np.sqrt(values), degrees)


def _spectrum(values: np.ndarray, vectors: np.ndarray, degrees: np.ndarray) -> Spectrum:
    psi = vectors * np.sqrt(degrees.sum() / degrees)[:, None]
    size = np.abs(psi)
    first = (size > 0.999 * size.max(0)).argmax(0)  # whatever rounding says of equal ones
    return Spectrum(values, psi * np.sign(psi[first, np.arange(psi.shape[1])]))
