"""How near points are to each other: by cosine, or by distance.

            nearness of x and y      what its fp32 form, of n numbers, is off by at most
cosine      x . y / (|x| |y|)        8 sqrt(n) 2^-24, of vectors of length 1
distance    -|x - y|                 8 sqrt(n) 2^-24 (|x| + |y|)^2, as a square

Of a pair it is computed in double precision, from the numbers of these two alone, and rounded to
fp32. A search in fp32 has the bound to say where it may have missed somebody (Higham and Mary 2019:
larger errors have a probability of next to nothing). For distances it takes vectors from their
common mean, which moves none of them and keeps |x| + |y| small, as shares of the longest.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

NUMBERS = 1 << 22  # in double precision at a time; bounds memory, no result
COLUMNS = 1024  # likewise
FP32, FP64 = 2.0**-24, 2.0**-53


@dataclass(frozen=True)
class Measure(ABC):
    """All points, as a search in fp32 compares them.

    Attributes:
        vectors: (points, numbers) float32.
        lengths: (points,) float64, theirs.
    """

    vectors: np.ndarray
    lengths: np.ndarray

    metric: ClassVar[str]
    """The name that faiss has for the fp32 form."""

    @abstractmethod
    def of_pairs(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return how near each row is to its others, (rows, others) float32.

        Args:
            rows: (rows,) places.
            others: (rows, others) places; of a negative one the number means nothing.
        """

    @abstractmethod
    def may_miss(self, rows: np.ndarray, last: np.ndarray, computed: np.ndarray) -> np.ndarray:
        """Return for which rows a search may have missed somebody, (rows,) bool.

        Args:
            rows: (rows,) places.
            last: (rows,) the least nearness that is taken.
            computed: (rows,) the fp32 form of the last point that was proposed.
        """

    @abstractmethod
    def of_all(self, rows: np.ndarray, places: np.ndarray, k: int) -> np.ndarray:
        """Return who may be one of the k nearest of some, and the row itself, (rows, some) bool.

        Args:
            rows: (rows,) places.
            places: (some,) of points; the row itself is one of them.
            k: less than so many.
        """

    def _products(self, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Products of rows and points in double precision, (rows, points)."""
        own = self._exact(rows)
        products = np.empty((len(rows), len(places)))
        for start in range(0, len(places), COLUMNS):
            block = slice(start, start + COLUMNS)
            products[:, block] = own @ self._exact(places[block]).T
        return products

    @abstractmethod
    def _exact(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of some points in double precision."""

    def _blocks(self, others: np.ndarray) -> list[slice]:
        """As many rows at a time as memory allows."""
        at_once = max(NUMBERS // max(others.shape[1] * self.vectors.shape[1], 1), 1)
        return [slice(start, start + at_once) for start in range(0, len(others), at_once)]


class Cosine(Measure):
    """By the cosine of vectors of length 1, but for rounding."""

    metric: ClassVar[str] = "METRIC_INNER_PRODUCT"

    @classmethod
    def of(cls, vectors: np.ndarray) -> Self:
        """Return the measure of (points, numbers) float32 of length 1."""
        return cls(vectors, lengths_of(vectors))

    def of_pairs(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """See `Measure`."""
        found = np.empty(others.shape, np.float32)
        for some in self._blocks(others):
            products = self._exact(others[some])
            products *= self._exact(rows[some])[:, None]
            lengths = self.lengths[rows[some]][:, None] * self.lengths[others[some]]
            found[some] = products.sum(-1) / lengths
        return found

    def may_miss(self, rows: np.ndarray, last: np.ndarray, computed: np.ndarray) -> np.ndarray:
        """See `Measure`."""
        return np.asarray(last <= computed + 8 * np.sqrt(self.vectors.shape[1]) * FP32)

    def of_all(self, rows: np.ndarray, places: np.ndarray, k: int) -> np.ndarray:
        """See `Measure`."""
        found = self._products(rows, places)
        found /= self.lengths[places]
        found /= self.lengths[rows][:, None]
        least = np.partition(found, len(places) - k - 1, axis=1)[:, len(places) - k - 1]
        return np.asarray(found >= (least - 4 * FP32)[:, None])  # what fp32 makes equal

    def _exact(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.vectors[rows].astype(np.float64))


@dataclass(frozen=True)
class Distance(Measure):
    """By the Euclidean distance of any vectors.

    Attributes:
        given: (points, numbers) float32; `vectors` and `lengths` are those from the mean.
        mean: (numbers,) float64.
        scale: length of the longest from the mean, which is 1 in `vectors`.
    """

    given: np.ndarray
    mean: np.ndarray
    scale: float

    metric: ClassVar[str] = "METRIC_L2"

    @classmethod
    def of(cls, given: np.ndarray) -> Self:
        """Return the measure of (points, numbers) float32; this takes as much again."""
        mean = given.mean(0, dtype=np.float64)
        vectors = np.empty_like(given)
        at_once = max(NUMBERS // max(given.shape[1], 1), 1)
        blocks = [slice(start, start + at_once) for start in range(0, len(given), at_once)]
        lengths = np.concatenate([np.linalg.norm(given[some] - mean, axis=1) for some in blocks])
        scale = float(lengths.max()) or 1.0
        for some in blocks:
            vectors[some] = (given[some] - mean) / scale
        return cls(vectors, lengths / scale, given, mean, scale)

    def of_pairs(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """See `Measure`."""
        found = np.empty(others.shape, np.float32)
        for some in self._blocks(others):
            apart = self.given[others[some]].astype(np.float64)
            apart -= self.given[rows[some]][:, None]
            found[some] = -np.sqrt(np.square(apart).sum(-1))
        return found

    def may_miss(self, rows: np.ndarray, last: np.ndarray, computed: np.ndarray) -> np.ndarray:
        """See `Measure`; who is as near as the last is no longer than both lengths together."""
        farthest = -last.astype(np.float64) / self.scale
        reach = np.square(2 * self.lengths[rows] + farthest)
        error = 8 * np.sqrt(self.vectors.shape[1]) * FP32 * reach
        return np.asarray(np.square(farthest) >= computed - error)

    def of_all(self, rows: np.ndarray, places: np.ndarray, k: int) -> np.ndarray:
        """See `Measure`."""
        squares = -2 * self._products(rows, places)
        squares += np.square(self.lengths[places])
        squares += np.square(self.lengths[rows])[:, None]
        last = np.maximum(np.partition(squares, k, axis=1)[:, k], 0)
        reach = np.square(2 * self.lengths[rows] + np.sqrt(last))
        error = 8 * np.sqrt(self.vectors.shape[1]) * FP64 * reach
        return np.asarray(squares <= (last * (1 + 8 * FP32) + 2 * error)[:, None])

    def _exact(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray((self.given[rows] - self.mean) / self.scale)


def lengths_of(vectors: np.ndarray) -> np.ndarray:
    """Return the length of each vector, summed as cosines are: equal ones have the cosine 1."""
    at_once = max(NUMBERS // max(vectors.shape[1], 1), 1)
    blocks = [
        np.square(vectors[start : start + at_once].astype(np.float64)).sum(-1)
        for start in range(0, len(vectors), at_once)
    ]
    lengths: np.ndarray = np.sqrt(np.concatenate([np.empty(0), *blocks]))
    return lengths
