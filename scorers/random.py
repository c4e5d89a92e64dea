"""Random: what every method must beat.

    score = uniform in [0, 1), from a hash of (seed, sample_id)

A row's draw depends on nothing but the seed and its own content, so it is the same in any pool, in
any order; rows with the same content share it.
"""

from typing import final

import numpy as np
import pyarrow as pa
import xxhash

from .base import Scorer


@final
class Random(Scorer):
    """A seeded uniform draw per row."""

    seed: int | None = None

    @property
    def reads(self) -> pa.Schema:
        """The hash of the row's content."""
        return pa.schema([("sample_id", pa.string())])

    def score(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Array:
        """Return the draw of each row."""
        draws = uniform(self.seed or 0, rows["sample_id"])
        return pa.array(draws, pa.float32())


def uniform(seed: int, sample_ids: pa.ChunkedArray) -> np.ndarray:
    """Return one number in [0, 1) per sample id, exact in float32 (24 bits)."""
    return (bits(seed, sample_ids) >> np.uint64(40)).astype(np.float64) / (1 << 24)


def bits(seed: int, sample_ids: pa.ChunkedArray) -> np.ndarray:
    """Return 64 random bits per sample id, (rows,) uint64: a hash of seed and id."""
    key = seed.to_bytes(16, "little", signed=True)
    hashes = [xxhash.xxh3_64_intdigest(key + sample.as_py().encode()) for sample in sample_ids]
    return np.array(hashes, dtype=np.uint64)


def gumbel(seed: int, sample_ids: pa.ChunkedArray) -> np.ndarray:
    """Return a draw from the standard Gumbel distribution per sample id, (rows,) float64.

    Rows in the order of log weight + draw, largest first, are rows drawn one after the other
    without replacement, each with a probability in proportion to its weight among those left.
    """
    share = ((bits(seed, sample_ids) >> np.uint64(12)).astype(np.float64) + 0.5) / (1 << 52)
    draws: np.ndarray = -np.log(-np.log(share))
    return draws
