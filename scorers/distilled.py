"""A distilled judge: a small model on embeddings, learnt from the rows that a judge has rated.

    score = w . embedding + b

fitted to the ratings of a share of the rows (ridge regression), and given to all of them. With
`at_least` it is the probability that a rating is at least so much (logistic regression), as a
classifier of good rows: FineWeb-Edu (Penedo et al. 2024, arXiv 2406.17557) filters by a regression
of ratings on embeddings, IterSelectTune (Song et al. 2024, arXiv 2410.13464) by a classifier.

How far it agrees with the judge is said when it is fitted: each fifth of the rated rows is scored
by a model of the other four, and compared with its ratings by Spearman's rank correlation and mean
absolute error (with `at_least`: by the area under the ROC curve). Which fifth a row belongs to, and
which `most` rated rows are learnt from, goes by a hash of seed and content. Rows with the same
content are one row, with the mean of its ratings.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from ..errors import ContractError, DataError
from .base import Scorer
from .features import Features, signal_column, there
from .random import bits
from .rated import rating_numbers
from .regression import Line, learn

STATE = pa.schema(
    [
        ("weights", pa.list_(pa.float64())),
        ("intercept", pa.float64()),
        ("said", pa.string()),
    ]
)


@final
class Distilled(Scorer):
    """What a model of embeddings makes of a judge's ratings, for every row."""

    rating: str = "judge.rating"
    """Of a rating block with a `share`, or an input column such as `data.rating`; rows without one
    are not learnt from."""
    of: str = "base.embedding"
    """The column of vectors by full name."""
    at_least: float | None = Field(default=None, allow_inf_nan=False)
    """Score the probability that the rating is at least this, in place of the rating."""
    fewest: int = Field(default=50, ge=20)
    """With fewer rated rows nothing is learnt, and the run stops."""
    most: int = Field(default=20_000, ge=20)
    """So many rated rows are learnt from at most."""
    seed: int | None = None

    @field_validator("of")
    @classmethod
    def _of_a_signal(cls, name: str) -> str | None:
        return signal_column(name)

    @property
    def undefined(self) -> str:
        """Why a row has no score."""
        return "no_vector"

    @property
    def reads(self) -> pa.Schema:
        """The vectors, the ratings and the hash; not why a row has no rating: it is scored, too."""
        ids = pa.field("sample_id", pa.string())
        return pa.schema([ids, *self._features.reads, (self.rating, pa.null())])

    @property
    def fits_pool(self) -> bool:
        """It learns from the rated rows of the pool."""
        return True

    def fit(self, pool: Iterable[pa.Table]) -> pa.Table:
        """Return the model, and how far it agrees with the judge.

        Raises:
            DataError: too few rated rows, or ratings that are all the same.
        """
        rated = self._rated(pool)
        wanted = rated.total / rated.copies
        logistic = self.at_least is not None
        if logistic:
            wanted = (wanted >= self.at_least).astype(np.float64)
        if len(wanted) < self.fewest:
            raise DataError(
                f"distilled: {len(wanted)} rows have a rating in {self.rating} and a vector in "
                f"{self.of}, and it takes {self.fewest}; rate more rows (a larger share)"
            )
        if wanted.min() == wanted.max():
            what = f"on one side of {self.at_least:g}" if logistic else f"{wanted[0]:g}"
            raise DataError(
                f"distilled: all {len(wanted)} ratings in {self.rating} are {what}; there is "
                f"nothing to learn from them"
            )
        turn = bits(self.seed or 0, pa.chunked_array([rated.ids]))
        learnt = learn(rated.vectors, wanted, turn, logistic)
        line = learnt.line
        said = f"learnt from {len(wanted):,} rated rows; on held-out ones "
        said += _agreement(learnt.held_out, wanted, logistic)
        return pa.table([[line.weights], [line.intercept], [said]], schema=STATE)

    def found(self, fitted: pa.Table) -> str:
        """Return how far it agrees with the judge."""
        return str(fitted["said"][0].as_py())

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Array:
        """Return what the model says of each row, NaN for one without a vector.

        Raises:
            ValueError: nothing was fitted.
        """
        if fitted is None:
            raise ValueError("distilled needs the model that `fit` learns from the pool")
        line = Line(
            np.asarray(fitted["weights"][0].values.to_numpy()), fitted["intercept"][0].as_py()
        )
        found = np.full(len(rows), np.nan)
        for own, vectors in self._features.blocks(rows):
            if vectors.shape[1]:
                found[own] = line.at(vectors)
        if self.at_least is not None:
            found = np.exp(-np.logaddexp(0, -found))  # the logistic function of any number
        return pa.array(found)

    @property
    def _features(self) -> Features:
        return Features(self.of)

    def _rated(self, pool: Iterable[pa.Table]) -> "_Rated":
        """The rows to learn from."""
        nobody = np.empty(0)
        held = _Rated(nobody, nobody, nobody, np.empty((0, 0)))
        for rows in pool:
            ratings = rating_numbers(rows, self.rating)
            rated = np.isfinite(ratings)
            some = rows.filter(pa.array(rated))
            vectors = self._features.vectors(some)
            known = there(vectors)
            ids = np.array(some["sample_id"].to_pylist(), dtype=object)[known]
            held = held.joined(ids, ratings[rated][known], vectors[known])
            held = held.drawn(self.seed or 0, self.most)
        return held


@dataclass(frozen=True)
class _Rated:
    """Distinct rated rows, in the order of their hashes; all arrays are (rows,) or (rows, numbers).

    Attributes:
        ids: their hashes.
        total: the sum of the ratings of a row's copies.
        copies: how many copies there are.
        vectors: of each.
    """

    ids: np.ndarray
    total: np.ndarray
    copies: np.ndarray
    vectors: np.ndarray

    def joined(self, ids: np.ndarray, ratings: np.ndarray, vectors: np.ndarray) -> "_Rated":
        """Return these and others.

        Raises:
            ContractError: vectors of different lengths.
        """
        if not len(ids):
            return self
        widths = self.vectors.shape[1], vectors.shape[1]
        if len(self.ids) and widths[0] != widths[1]:
            raise ContractError(f"distilled: vectors of {widths[0]} and of {widths[1]} numbers")
        every = np.concatenate([self.ids, ids])
        distinct, first, own = np.unique(every, return_index=True, return_inverse=True)
        total = np.bincount(own, np.concatenate([self.total, ratings]))
        copies = np.bincount(own, np.concatenate([self.copies, np.ones(len(ids))]))
        both = np.concatenate([self.vectors, vectors]) if len(self.ids) else vectors
        return _Rated(distinct, total, copies, both[first])

    def drawn(self, seed: int, most: int) -> "_Rated":
        """Return at most so many of them, drawn by seed and hash."""
        if len(self.ids) <= most:
            return self
        kept = np.sort(np.argsort(bits(seed, pa.chunked_array([self.ids])), kind="stable")[:most])
        return _Rated(self.ids[kept], self.total[kept], self.copies[kept], self.vectors[kept])


def _agreement(held_out: np.ndarray, wanted: np.ndarray, logistic: bool) -> str:
    """How far what was said of unseen rows is what the judge said, in words."""
    from scipy.stats import spearmanr  # comes with scikit-learn

    if logistic:
        from sklearn.metrics import roc_auc_score

        share = float(wanted.mean())
        area = float(roc_auc_score(wanted, held_out))
        return f"area under the ROC curve {area:.3f}, with {share:.1%} on the upper side"
    ranks = float(spearmanr(held_out, wanted).statistic)
    error, always = np.abs(held_out - wanted).mean(), np.abs(wanted - wanted.mean()).mean()
    return (
        f"rank correlation {ranks:.3f}, mean error {error:.3f} (of always the mean: {always:.3f})"
    )
