"""MinHash signatures and their bands (Broder 1997; Leskovec, Rajaraman and Ullman, chapter 3).

    signature_k = min over the n-grams g of a row of a_k f(g) + b_k        modulo 2^32, a_k odd

The share of places in which the signatures of two rows agree is their Jaccard similarity s, but for
chance. `bands` times `hashes` places are cut into bands; rows whose signatures agree in all places
of some band are candidates, with probability

    1 - (1 - s^hashes)^bands     for 14 bands of 8: .0533 at s = .5, .5645 at .7, .9235 at .8

f is the finaliser of MurmurHash3 on the upper 32 bits of the n-gram's hash: the scheme `affine32`
of `datasketch` 2, whose signatures these are to the bit, given the same a and b.
"""

import numpy as np
import xxhash

from .grams import MULTIPLIER, Lists, mix

BLOCK = 1 << 15  # n-grams at a time: they stay in the processor's cache
UPPER = np.uint64(32)
MIX_1, MIX_2 = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)


def permutations(seed: int, count: int) -> np.ndarray:
    """Return a (odd) and b of so many hashes, (2, count) uint32: hashes of their places."""
    names = [[f"{letter}{place}" for place in range(count)] for letter in "ab"]
    key = seed.to_bytes(16, "little", signed=True)
    drawn = [[xxhash.xxh32_intdigest(key + name.encode()) for name in row] for row in names]
    found = np.array(drawn, np.uint32)
    found[0] |= np.uint32(1)
    return found


def values_of(grams: np.ndarray) -> np.ndarray:
    """Return the 32 bits of n-grams' hashes that signatures are made of, (grams,) uint32."""
    return (grams >> UPPER).astype(np.uint32)


def signatures(grams: Lists, drawn: np.ndarray) -> np.ndarray:
    """Return the signature of each row, (rows, count) uint32; all bits set for one without n-grams.

    Args:
        grams: hashes of its n-grams.
        drawn: from `permutations`.
    """
    rows = np.flatnonzero(grams.lengths)
    values = _finished(values_of(grams.values))
    found = np.full((len(grams.starts) - 1, drawn.shape[1]), np.iinfo(np.uint32).max, np.uint32)
    for some in _blocks(grams.starts, rows):
        low, high = grams.starts[some[0]], grams.starts[some[-1] + 1]
        own, starts = values[low:high], grams.starts[some] - low
        room = np.empty_like(own)
        for place, (a, b) in enumerate(drawn.T):
            np.multiply(own, a, out=room)
            np.add(room, b, out=room)
            found[some, place] = np.minimum.reduceat(room, starts)
    return found


def bands(signatures: np.ndarray, count: int) -> np.ndarray:
    """Return a hash of each band of signatures, and of its place, (rows, count) uint64."""
    pieces = signatures.reshape(len(signatures), count, signatures.shape[1] // count)
    total = np.broadcast_to(np.arange(1, count + 1, dtype=np.uint64), pieces.shape[:2])
    for place in range(pieces.shape[2]):
        total = total * np.uint64(MULTIPLIER) + pieces[:, :, place]
    return mix(total)


def chance(similarity: float, hashes: int, bands: int) -> float:
    """Return the probability that two rows of a Jaccard similarity share a band."""
    return float(1 - (1 - similarity**hashes) ** bands)


def _finished(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint32(16))) * MIX_1
    values = (values ^ (values >> np.uint32(13))) * MIX_2
    found: np.ndarray = values ^ (values >> np.uint32(16))
    return found


def _blocks(starts: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """The rows, cut where about `BLOCK` n-grams are full; one row is never cut."""
    if not len(rows):
        return []
    number = starts[rows] // BLOCK
    return np.split(rows, np.flatnonzero(np.diff(number)) + 1)
