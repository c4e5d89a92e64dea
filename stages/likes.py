"""All pairs of a cluster by the cosine of their vectors, some rows at a time.

Cosines are computed in double precision and rounded to fp32, so that which rows are compared
together changes nothing, but for a rounding that falls exactly between two floats.
"""

from collections.abc import Iterator

import numpy as np

from .grouping import linked

AT_ONCE = 512  # rows; bounds memory, no result
LINKS = 1 << 22  # held before those that say the same are left out; likewise
NOBODY = -2.0  # less than any cosine


def cosines(vectors: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield some rows at a time, and their cosines to all rows up to the last of them.

    Those of a row with itself and with later rows are `NOBODY`.

    Args:
        vectors: (rows, numbers) of length 1.
    """
    whole = vectors.astype(np.float64)
    for start in range(0, len(whole), AT_ONCE):
        some = slice(start, min(start + AT_ONCE, len(whole)))
        found = (whole[some] @ whole[: some.stop].T).astype(np.float32)
        later = np.arange(some.stop) >= np.arange(some.start, some.stop)[:, None]
        found[later] = NOBODY
        yield some, found


def nearest_earlier(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest cosine of each row to a row before it, and which, (rows,) each.

    `NOBODY` and 0 for the first.
    """
    near, who = np.full(len(vectors), NOBODY, np.float32), np.zeros(len(vectors), np.int64)
    for some, found in cosines(vectors):
        who[some] = found.argmax(1)
        near[some] = found[np.arange(len(found)), who[some]]
    return near, who


def alike(vectors: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows hang together by cosines above a threshold, and the largest of each row.

    Returns:
        (rows,) a label of its group, and (rows,) its largest cosine to another row.
    """
    limit = np.float32(threshold)
    n = len(vectors)
    near = np.full(n, NOBODY, np.float32)
    left, right = np.empty(0, np.int64), np.empty(0, np.int64)
    for some, found in cosines(vectors):
        near[some] = np.maximum(near[some], found.max(1))
        near[: some.stop] = np.maximum(near[: some.stop], found.max(0))
        rows, others = np.nonzero(found > limit)
        left = np.concatenate([left, rows + some.start])
        right = np.concatenate([right, others])
        if len(left) > LINKS:  # n links say the same
            labels = linked(n, left, right)
            _, first = np.unique(labels, return_index=True)
            left, right = np.arange(n), first[labels]
    return linked(n, left, right), near
