"""Vectors of several checkpoints in one column: how they are kept, and read again.

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
_TINY = float(np.finfo(np.float32).tiny)


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
    whole: np.ndarray = np.rint(vectors * (127 / np.maximum(largest, _TINY))).astype(np.int8)
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


def read_vectors(
    column: pa.Array | pa.ChunkedArray, checkpoints: int, dim: int | None = None
) -> np.ndarray:
    """Return a column of vectors as numbers, each of unit length.

    Args:
        column: as `vector_column` made it, in any form.
        checkpoints: of how many it is, at least one.
        dim: take only the first so many numbers of each vector, which for the dense projection is
            the narrower projection; None for all.

    Returns:
        (rows, checkpoints, dim) fp32 of unit vectors; NaN for null rows, zeros where a vector is
        zero. A column of nulls has dim 0.

    Raises:
        ValueError: another type, or vectors that have no such number of checkpoints or dimensions.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if array.type not in KEPT.values():
        raise ValueError(f"vectors are {', '.join(map(str, KEPT.values()))}; got {array.type}")
    known = np.asarray(array.is_valid())
    some = array.filter(pa.array(known))
    if pa.types.is_binary(array.type):
        rows = [np.frombuffer(value.as_py(), np.uint8) for value in some]
        bits = np.unpackbits(np.stack(rows), axis=1) if rows else np.empty((0, 0), np.uint8)
        numbers = bits.astype(np.float32) * 2 - 1
    else:
        flat = np.asarray(some.flatten(), np.float32)
        numbers = flat.reshape(len(some), len(flat) // max(len(some), 1))
    return _units(numbers, known, checkpoints, dim)


def _units(numbers: np.ndarray, known: np.ndarray, checkpoints: int, dim: int | None) -> np.ndarray:
    if numbers.shape[1] % checkpoints:
        raise ValueError(f"{numbers.shape[1]} numbers are not of {checkpoints} checkpoints")
    width = numbers.shape[1] // checkpoints
    if dim is not None and numbers.size and not 1 <= dim <= width:
        raise ValueError(f"dim must lie in [1, {width}]; got {dim}")
    cut = numbers.reshape(len(numbers), checkpoints, width)[:, :, :dim]
    cut = cut / np.maximum(np.linalg.norm(cut, axis=2, keepdims=True), _TINY)
    out = np.full((len(known), *cut.shape[1:]), np.nan, dtype=np.float32)
    out[known] = cut
    return out


def _dtype(keep: Keep) -> np.dtype[Any]:
    return np.dtype({"fp16": "float16", "int8": "int8", "sign": "uint8"}[keep])
