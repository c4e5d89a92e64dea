"""Where ratings come from: a block that rates, another scorer, or a column of the input.

`judge.rating` and `judge.criteria.accuracy` are of a block that asks a judge, `ifd.score` of
another scorer, `data.rating` is what the rows carry: numbers, or text that spells them. A row whose
block gave it none has that block's status; a number is never made up for it.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .base import floats
from .signals import RATED

NO_RATING = "no_rating"
"""Status of a row without a number in a column of the input."""
NUMBER = r"^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$"
WITH_STATUS = (*RATED, "score")
"""Columns of blocks beside which stands a status, by the first word of their names."""


def rating_schema(*columns: str) -> pa.Schema:
    """Return the schema of columns of ratings, of any type, with the statuses beside them."""
    fields = {column: pa.null() for column in columns}
    for column in columns:
        block, _, name = column.partition(".")
        if block != "data" and name.split(".")[0] in WITH_STATUS:
            fields[f"{block}.status"] = pa.string()
    return pa.schema(list(fields.items()))


def rating_numbers(rows: pa.Table, name: str) -> np.ndarray:
    """Return a column as numbers, (rows,) float64; NaN where a row has none.

    Text that spells a number counts as one, and so do truth values.
    """
    column = rows[name].combine_chunks()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.string())
        spelled = pc.fill_null(pc.match_substring_regex(column, NUMBER), False)
        text = pc.if_else(spelled, pc.utf8_trim_whitespace(column), None)
        # truth values beside texts in one column have become text
        text = pc.if_else(pc.equal(column, "true"), "1", text)
        text = pc.if_else(pc.equal(column, "false"), "0", text)
        return np.asarray(text.cast(pa.float64()).to_numpy(zero_copy_only=False))
    if not (
        pa.types.is_integer(column.type)
        or pa.types.is_floating(column.type)
        or pa.types.is_boolean(column.type)
    ):
        return np.full(len(rows), np.nan)
    return floats(rows, name)


def rating_lists(rows: pa.Table, name: str) -> list[np.ndarray]:
    """Return the ratings of each row as (ratings,) float64, NaN for one that is missing.

    A single number is a list of one; a row without any has an empty one.
    """
    column = rows[name].combine_chunks()
    if not _is_list(column.type):
        return [row[np.isfinite(row)] for row in rating_numbers(rows, name)[:, None]]
    if not (pa.types.is_integer(kind := column.type.value_type) or pa.types.is_floating(kind)):
        return [np.empty(0)] * len(rows)
    counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    flat = column.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.split(np.asarray(flat, np.float64), np.cumsum(counts)[:-1]) if len(rows) else []


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
