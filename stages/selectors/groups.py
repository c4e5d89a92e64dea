"""The groups of a column, for selectors that keep so much of each.

A group is named by its value: a text as it is, and all else as JSON writes it, so `3`, `0.5`,
`true`, and a list as a whole, `["a", "b"]`. A row whose value is null or NaN is in no group.
"""

import json

import numpy as np
import pyarrow as pa


def groups_of(
    column: pa.ChunkedArray | pa.Array, without: str | None = None
) -> tuple[list[str], np.ndarray]:
    """Return the names of the groups in order, and each row's place among them, (rows,) int64.

    Args:
        column: (rows,) of any type.
        without: the group of rows that are in none; None: their place is -1.
    """
    if pa.types.is_nested(column.type):  # which Arrow cannot encode
        column = pa.array([_name(value) for value in column.to_pylist()], pa.string())
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    coded = column.dictionary_encode()
    own = [_name(value) for value in coded.dictionary.to_pylist()]
    codes = coded.indices.fill_null(len(own)).to_numpy(zero_copy_only=False)
    named = np.array([without if name is None else name for name in [*own, None]], dtype=object)
    names = sorted({name for name in named[np.unique(codes)].tolist() if name is not None})
    place = {name: number for number, name in enumerate(names)}
    places = np.array([place.get(name, -1) for name in named.tolist()], dtype=np.int64)
    return names, places[codes]


def _name(value: object) -> str | None:
    if value is None or value != value:  # the last: NaN
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
