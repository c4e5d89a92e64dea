"""Clusters of points by a non-negative factorisation of their similarities, and how many of them.

    S ~ W H,    W (points, k) and H (k, points) at least 0,    label of i = argmax_k W_ik |H_k|

S_ij = |z_i . z_j| of diffusion coordinates (`scorers.diffusion`): of all pairs, of all points with
some of them, H then (k, some), or of the edges of a graph and 0 elsewhere. PASER (arXiv 2502.12594)
clusters so, with the trivial coordinate among the others. Without it coordinates lie around 0, and
the rows of two clusters may lie opposite each other: |z_i . z_j| then takes them for one. So
`positive` is max(0, z_i . z_j).

The largest singular values of S belong to its largest clusters, and on a graph to its busiest
corners. `balanced` divides by degrees, S_ij / sqrt(s_i s_j) with s_i = sum_j S_ij, which gives
every cluster one near 1 (Xu, Liu & Gong 2003, "Document clustering based on non-negative matrix
factorization": weights as of normalised cuts).

W and H can be scaled against each other, so W is compared with the length of H's rows put in. The
published code does not balance, compares W as the solver leaves it, and begins at random, where
ours begins from the singular vectors (NNDSVD, zeros filled with the mean).

How many clusters: by the gain (`scorers.gain`) of e(k) = |S - W H|^2 / |S|^2, one S for every k. A
balanced S has equal gains up to the number of clusters.
"""

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy import sparse

log = logging.getLogger(__name__)

Similarity: TypeAlias = np.ndarray | sparse.csr_array
Start = Literal["nndsvda", "random"]
Signs = Literal["absolute", "positive"]

ITERATIONS = 200  # as scikit-learn has it, and so the published code
ROWS_AT_ONCE, POINTS_AT_ONCE = 100_000, 1_024  # of edges and pairs; bounds memory


@dataclass(frozen=True)
class Factors:
    """A factorisation.

    Attributes:
        weights: (points, k) W, with the length of H's rows put in unless asked otherwise.
        error: |S - W H|^2 / |S|^2, Frobenius.
        settled: the iterations came to an end by themselves.
    """

    weights: np.ndarray
    error: float
    settled: bool = True

    @property
    def labels(self) -> np.ndarray:
        """(points,) the factor of the largest weight, the first of equal ones."""
        return np.asarray(self.weights.argmax(1))


def similarities(
    coordinates: np.ndarray,
    edges: sparse.csr_array | None = None,
    signs: Signs = "absolute",
    columns: int | None = None,
) -> Similarity:
    """Return |z_i . z_j| of all pairs, or of the edges only; or 0 where z_i . z_j is below 0.

    Args:
        coordinates: (points, numbers) float64.
        edges: (points, points), whose entries say which pairs; None for all.
        signs: what is made of products below 0.
        columns: pairs with so many of the points only, the first; fp32, to take half the memory.
    """

    def signed(products: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(products) if signs == "absolute" else np.maximum(products, 0))

    if columns is not None:
        few, blocks = coordinates[:columns].T, range(0, len(coordinates), POINTS_AT_ONCE)
        found = np.empty((len(coordinates), columns), np.float32)
        for start in blocks:
            block = slice(start, start + POINTS_AT_ONCE)
            found[block] = signed(coordinates[block] @ few)
        return found
    if edges is None:
        return signed(coordinates @ coordinates.T)
    values = np.empty(edges.nnz)
    rows = np.repeat(np.arange(edges.shape[0]), np.diff(edges.indptr))
    for start in range(0, edges.nnz, ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        pairs = coordinates[rows[some]] * coordinates[edges.indices[some]]
        values[some] = signed(pairs.sum(1))
    return sparse.csr_array((values, edges.indices, edges.indptr), shape=edges.shape)


def balanced(similarity: Similarity) -> Similarity:
    """Return S_ij / sqrt(s_i s_j), 0 where s_i is 0; columns belong to the first points."""
    sums = np.asarray(similarity.sum(1, dtype=np.float64))
    with np.errstate(divide="ignore"):
        roots = np.where(sums > 0, 1 / np.sqrt(sums), 0.0)
    if isinstance(similarity, np.ndarray):
        kind, columns = similarity.dtype, similarity.shape[1]
        return similarity * roots[:columns].astype(kind) * roots[:, None].astype(kind)
    rows = np.repeat(np.arange(len(roots)), np.diff(similarity.indptr))
    values = similarity.data * roots[rows] * roots[similarity.indices]
    return sparse.csr_array((values, similarity.indices, similarity.indptr), similarity.shape)


def factorise(similarity: Similarity, k: int, seed: int, start: Start = "nndsvda") -> Factors:
    """Return a factorisation with k factors, by scikit-learn's coordinate descent.

    Args:
        similarity: (points, points or the first of them) S, at least 0.
        k: from 1 to the number of points.
        seed: of the start.
        start: `random` is the published one, and leaves W as it is.
    """
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said by `_say`
        found = _factors(similarity, k, seed, start)
    _say({k: found})
    return found


def _factors(similarity: Similarity, k: int, seed: int, start: Start) -> Factors:
    from sklearn.decomposition import NMF  # heavy, and only the process that fits needs it

    scale = float(similarity.diagonal().mean())
    if start != "random" and scale > 0:  # what is below 1e-6 is 0 to NNDSVD
        similarity = similarity / scale
    model = NMF(k, init=start, random_state=seed, max_iter=ITERATIONS)
    with np.errstate(invalid="ignore"):  # see below
        weights = model.fit_transform(similarity)
    if start != "random":
        weights = weights * np.linalg.norm(model.components_, axis=1)
    whole = float((similarity * similarity).sum(dtype=np.float64))
    left = float(model.reconstruction_err_)  # NaN: rounding put the square of a perfect fit below 0
    error = left**2 / whole if whole and not math.isnan(left) else 0.0
    return Factors(weights, error, model.n_iter_ < ITERATIONS)


def _say(found: Mapping[int, Factors]) -> None:
    for k, factors in found.items():
        if not factors.settled:
            log.info("%d factors: not settled after %d iterations", k, ITERATIONS)


def errors_of(
    similarity: Similarity, grid: Sequence[int], seed: int, threads: int = 1
) -> dict[int, float]:
    """Return e(k) for 1 and every k of a rising grid.

    Args:
        similarity: (points, points or the first of them) S, at least 0.
        grid: numbers of factors.
        seed: of the starts.
        threads: how many factorisations run at a time; changes nothing.
    """
    from sklearn.exceptions import ConvergenceWarning

    each = [1, *grid]
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter("ignore", ConvergenceWarning)  # said by `_say`
        longest_first = {
            k: pool.submit(_factors, similarity, k, seed, "nndsvda") for k in reversed(each)
        }
        found = {k: longest_first[k].result() for k in each}
    _say(found)
    return {k: factors.error for k, factors in found.items()}
