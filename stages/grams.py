"""Hashes of the words of rows, and of every n words that follow each other.

A word is its 64-bit xxh3 hash; n words with the hashes w are

    mix(sum_i w_i M^(n - 1 - i))     modulo 2^64, M odd, mix the finaliser of MurmurHash3

so the words of a part are hashed once, and all its n-grams in n passes of numpy. A hash depends on
nothing but its words.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import xxhash

MULTIPLIER = 0x9E3779B97F4A7C15  # odd: 2^64 by the golden ratio
MIX_1, MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
SHIFT = np.uint64(33)


@dataclass(frozen=True)
class Lists:
    """Numbers of several rows, one after the other.

    Attributes:
        values: (all,) uint64.
        starts: (rows + 1,) int64, where those of each row begin, and the end.
    """

    values: np.ndarray
    starts: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """(rows,) how many each has."""
        return np.diff(self.starts)

    @property
    def owner(self) -> np.ndarray:
        """(all,) the row of each number."""
        return np.repeat(np.arange(len(self.starts) - 1), self.lengths)


def word_hashes(words: pa.ListArray) -> Lists:
    """Return the hash of each word."""
    starts = np.asarray(words.offsets, dtype=np.int64)
    coded = words.flatten().dictionary_encode()
    distinct = coded.dictionary.cast(pa.binary())
    own = [xxhash.xxh3_64_intdigest(word) for word in distinct.to_pylist()]
    return Lists(np.array(own, np.uint64)[np.asarray(coded.indices)], starts - starts[0])


def gram_hashes(words: Lists, n: int) -> Lists:
    """Return the hash of every n words that follow each other in a row, in order.

    Of fewer words than n there is none.
    """
    count = np.maximum(words.lengths - n + 1, 0)
    starts = np.concatenate([[0], np.cumsum(count)])
    first = np.arange(starts[-1]) + np.repeat(words.starts[:-1] - starts[:-1], count)
    n_windows = max(len(words.values) - n + 1, 0)
    total = np.zeros(n_windows, np.uint64)
    for place in range(n):
        total = total * np.uint64(MULTIPLIER) + words.values[place : place + n_windows]
    return Lists(mix(total[first]), starts)


def whole_hashes(words: Lists) -> np.ndarray:
    """Return the hash of all words of each row, (rows,) uint64; not that of so many in a row."""
    bytes_ = np.ascontiguousarray(words.values).tobytes()
    bounds = (8 * words.starts).tolist()
    found = [xxhash.xxh3_64_intdigest(bytes_[a:b]) for a, b in pairwise(bounds)]
    return np.array(found, np.uint64)


def mix(hashes: np.ndarray) -> np.ndarray:
    """Return 64 bits of which each depends on all before, (…) uint64: a fixed bijection."""
    hashes = (hashes ^ (hashes >> SHIFT)) * MIX_1
    hashes = (hashes ^ (hashes >> SHIFT)) * MIX_2
    found: np.ndarray = hashes ^ (hashes >> SHIFT)
    return found
