"""Columns of vectors to matrices, whatever they are stored as.

============================= =================================================================
Arrow type                    a vector of n numbers
============================= =================================================================
list of float16, 32, 64       n floats
list of int8                  n whole numbers; their scale is one of the row, and unknown here
binary, fixed-size binary     n / 8 bytes, first number in the highest bit; set: +1, clear: -1
============================= =================================================================

A cosine does not depend on the scale, and so takes all of them alike.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import ContractError

DIM = "; where rows carry their own, `dim` of embedding_column leaves those of another length out"


def lists(vectors: np.ndarray) -> pa.Array:
    """Return (rows, numbers) as a list for each row, of the same type of number."""
    offsets = pa.array(np.arange(len(vectors) + 1) * vectors.shape[1], pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(vectors).ravel()))


def matrix(column: pa.ChunkedArray | pa.Array, name: str) -> np.ndarray:
    """Return a column of vectors as (rows, numbers) float64; NaN where a row has none.

    Args:
        column: of one of the types above.
        name: of the column, for messages.

    Raises:
        ContractError: another type, or rows of different lengths.
    """
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    there = np.asarray(column.is_valid())
    vectors = column.drop_null()
    kind = column.type
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        lengths = np.asarray(pc.binary_length(vectors))
        packed = np.frombuffer(b"".join(vectors.to_pylist()), np.uint8)
        values = 2.0 * np.unpackbits(packed) - 1.0
        lengths = lengths * 8
    elif pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = np.asarray(pc.list_value_length(vectors))
        numbers = vectors.flatten().to_numpy(zero_copy_only=False)
        values = np.asarray(numbers).astype(np.float64)
    else:
        raise ContractError(f"{name} is {kind}; vectors are lists of numbers or packed signs")
    if len(set(lengths.tolist())) > 1:
        raise ContractError(
            f"{name} has vectors of {lengths.min()} and of {lengths.max()} numbers{DIM}"
        )
    found = np.full((len(column), int(lengths[0]) if len(lengths) else 0), np.nan)
    found[there] = values.reshape(len(vectors), found.shape[1])
    return found


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors along the last axis scaled to length 1; NaN for those of length 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled: np.ndarray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled
