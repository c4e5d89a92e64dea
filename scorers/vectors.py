"""Vectors of several checkpoints in one column: how they are kept; `matrices` reads them.

A column holds `dim` numbers of a row for the first checkpoint, then for the second, and so on:

    fp16    list of float16, the numbers as they are
    int8    list of int8, times 127 / the largest magnitude of the vector, rounded: the length is
            lost, and a number moves by at most 1/254 of the largest
    sign    binary, one bit per number, 1 where it is at least 0, eight to a byte, the first highest

QLESS (arXiv 2502.01703) finds that such gradients still choose as well at 8 bits, and nearly so
at one. Signs are read as +1 and -1; of two random directions with cosine c the signs have the
cosine ``2 / pi asin(c)``.
"""

from typing import Any, Literal

import numpy as np
import pyarrow as pa

Keep = Literal["fp16", "int8", "sign"]
KEPT: dict[str, pa.DataType] = {
    "fp16": pa.list_(pa.float16()),
    "int8": pa.list_(pa.int8()),
    "sign": pa.binary(),
}
LARGEST = float(np.finfo(np.float16).max)


def kept(vectors: np.ndarray, keep: Keep) -> np.ndarray:
    """Return vectors in the form that is kept.

    Args:
        vectors: (rows, dim) fp32, finite, of one checkpoint; with `sign`, dim a multiple of 8.
        keep: which form.

    Returns:
        (rows, dim) float16 or int8, or (rows, dim / 8) uint8.
    """
    if keep == "fp16":
        return vectors.astype(np.float16)
    if keep == "sign":
        return np.packbits(vectors >= 0, axis=1)
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    scale = 127 / np.where(largest > 0, largest, 1).astype(np.float64)  # of tiny ones beyond fp32
    whole: np.ndarray = np.rint(vectors * scale).astype(np.int8)
    return whole


def vector_column(
    checkpoints: list[np.ndarray], places: np.ndarray, ok: np.ndarray, keep: Keep
) -> pa.Array:
    """Return kept vectors as a column, null where there are none.

    Args:
        checkpoints: what `kept` gave for each checkpoint, (usable rows, width).
        places: (usable rows,) ascending places among all rows.
        ok: (rows,) whether a row has numbers.
        keep: their form.
    """
    joined = np.concatenate([*checkpoints, np.empty((len(places), 0), _dtype(keep))], axis=1)
    if keep == "sign":
        values: list[bytes | None] = [None] * len(ok)
        for place, row in zip(places.tolist(), joined, strict=True):
            values[place] = row.tobytes() if ok[place] else None
        return pa.array(values, KEPT[keep])
    counts = np.zeros(len(ok), dtype=np.int64)
    counts[places] = joined.shape[1]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    flat = pa.array(joined.ravel(), KEPT[keep].value_type)
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=pa.array(~ok))


def _dtype(keep: Keep) -> np.dtype[Any]:
    return np.dtype({"fp16": "float16", "int8": "int8", "sign": "uint8"}[keep])
