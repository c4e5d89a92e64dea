"""Where rows lie by their vectors: a plane to look at, and how well a choice covers the pool.

Vectors are those that the run computed (`<signal>.embedding`), else the TF-IDF of the words of each
row, hashed. They are scaled to length 1 and brought to the 32 directions in which the pool varies
most (principal components; of TF-IDF a truncated SVD first); the first two of them are the map.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...scorers.matrices import matrix, unit
from ..finished import Finished
from .beside import Beside
from .sampling import Sample
from .texts import instruction_of, last_answer_of

POOL, CHOSEN = 8_000, 2_000  # rows on the map at most
DIRECTIONS = 32
FEATURES = 1 << 13
HEAD = 1_500  # characters of each text
COVERED = 2_000  # rows of the pool whose distance is measured


@dataclass(frozen=True)
class Places:
    """Rows as points.

    Attributes:
        points: (rows, directions); the first two are the plane. NaN where a row has no vector.
        pool, kept, random: which of these are a sample of each.
        share: of the variance of the vectors that the plane shows.
        of: what the vectors are.
    """

    points: np.ndarray
    pool: np.ndarray
    kept: np.ndarray
    random: np.ndarray
    share: float
    of: str


def find_places(run: Finished, beside: Beside, sample: Sample) -> Places:
    """Return where a sample of the rows lies.

    Raises:
        DataError: what is needed is no longer in the store.
        ArtifactError: likewise.
    """
    drawn = [
        beside.drawn(sample.rows & rows, most)
        for rows, most in (
            (np.ones(len(beside.rows), dtype=bool), POOL),
            (beside.kept, CHOSEN),
            (beside.random[0], CHOSEN),
        )
    ]
    every = np.unique(np.concatenate(drawn))
    vectors, of = _vectors(run, beside.row_ids[every])
    there = np.isfinite(vectors).all(axis=1)
    at = [np.searchsorted(every, rows) for rows in drawn]
    pool, kept, random = (rows[there[rows]] for rows in at)
    points, share = _reduced(vectors, pool, there)
    return Places(points, pool, kept, random, share, of)


def _vectors(run: Finished, row_ids: np.ndarray) -> tuple[np.ndarray, str]:
    """(rows, numbers) of length 1, NaN where a row has none, and what they are."""
    named = [name for name in run.columns if name.endswith(".embedding")]
    if named:
        column = run.rows(row_ids.tolist(), named[:1])[named[0]]
        return unit(matrix(column, named[0])), f"the vectors {named[0]}"
    rows = run.rows(row_ids.tolist(), ["messages"])["messages"].to_pylist()
    texts = [
        f"{instruction_of(messages)[:HEAD]}\n{last_answer_of(messages)[:HEAD]}" for messages in rows
    ]
    return _of_words(texts), "hashed TF-IDF vectors of the words, as this run computed none"


def _of_words(texts: Sequence[str]) -> np.ndarray:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    counts = HashingVectorizer(n_features=FEATURES, alternate_sign=False).transform(texts)
    weighted = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    most = min(DIRECTIONS, weighted.shape[0] - 1)
    if most < 1:
        return np.zeros((len(texts), 2))
    svd = TruncatedSVD(most, random_state=0, n_iter=2)
    return unit(svd.fit_transform(weighted))


def _reduced(vectors: np.ndarray, pool: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, float]:
    from sklearn.decomposition import PCA

    points = np.zeros((len(vectors), 2))
    most = min(DIRECTIONS, len(pool), vectors.shape[1])
    if most < 2:
        return points, 0.0
    pca = PCA(most, svd_solver="covariance_eigh").fit(vectors[pool])
    points = np.full((len(vectors), most), np.nan)
    points[there] = pca.transform(vectors[there])
    return points, float(pca.explained_variance_ratio_[:2].sum())


def uncovered(points: np.ndarray, rows: np.ndarray, chosen: np.ndarray) -> float:
    """Return the mean distance of some rows to the nearest of those chosen.

    Rows that are chosen themselves do not count: of a large pool `rows` is a sample, which may hold
    more of one choice than of another.

    Args:
        points: (all, directions).
        rows: places of rows in them.
        chosen: likewise.
    """
    others, near = points[np.setdiff1d(rows, chosen)], points[chosen]
    if not len(others):
        return 0.0
    squares = (
        (others**2).sum(axis=1)[:, None] - 2 * others @ near.T + (near**2).sum(axis=1)[None, :]
    )
    return float(np.sqrt(np.maximum(squares.min(axis=1), 0)).mean())
