"""The vectors of the rows that reach a selector, and the rows in an order that is theirs alone."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import ContractError
from ...scorers.features import Features
from ...scorers.matrices import DIM, unit

NO_VECTOR = "no_vector"


def even(pool: pa.Table) -> np.ndarray:
    """Return the places of all rows by sample_id, then row_id: whatever order they came in."""
    keys = [("sample_id", "ascending"), ("row_id", "ascending")]
    return np.asarray(pc.sort_indices(pool, sort_keys=keys), dtype=np.int64)


def row_vectors(pool: pa.Table, rows: np.ndarray, of: Features, unit_length: bool) -> np.ndarray:
    """Return the vectors of some rows, (rows, numbers) float64; NaN for a row without one.

    Args:
        pool: with the columns that `of` reads.
        rows: their places.
        of: where the vectors are.
        unit_length: scale them to length 1.

    Raises:
        ContractError: vectors of different lengths.
    """
    own = pool.select(of.reads.names).take(pa.array(rows))
    found = np.full((len(rows), 0), np.nan)
    for some, block in of.blocks(own):
        numbers = block.shape[1]
        if numbers and not found.shape[1]:
            found = np.full((len(rows), numbers), np.nan)
        if numbers not in (0, found.shape[1]):
            first = pool["sample_id"][int(rows[some][~np.isnan(block[:, 0])][0])]
            raise ContractError(
                f"{of.of} has vectors of {found.shape[1]} numbers, but of {numbers} in the row "
                f"with sample_id {first}{DIM}"
            )
        if numbers:
            found[some] = unit(block) if unit_length else block
    return found


def why_not(status: pa.Array | pa.ChunkedArray, rows: np.ndarray) -> np.ndarray:
    """Return why rows have no vector: their status, or `no_vector` where that is fine.

    Args:
        status: of all rows.
        rows: places of those without.
    """
    reasons = np.array(status.take(pa.array(rows)).to_pylist(), dtype=object)
    fine = np.isin(reasons, ("ok", "truncated")) | (reasons == None)  # noqa: E711 - elementwise
    reasons[fine] = NO_VECTOR
    return reasons
