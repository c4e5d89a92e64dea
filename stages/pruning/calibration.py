"""The rows that a pruner looks at: a seeded draw from a pool, as token ids.

The rows with the smallest draws are taken. A draw is a hash of seed and content, so which rows
they are does not depend on the order of the pool, and rows of the same content count once.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from ...errors import DataError
from ...scorers.random import bits
from ..tokenize import Encoder


def draw_rows(
    parts: Iterable[Sequence[Mapping[str, Any]]], encoder: Encoder, n: int, seed: int
) -> list[list[int]]:
    """Return the token ids of n rows, in the order of their draws.

    Args:
        parts: rows in any portions, with `sample_id` and the conversation.
        encoder: makes tokens of them; rows without an answer in its window are not drawn.
        n: how many.
        seed: names the draw.

    Raises:
        DataError: there are fewer such rows.
    """
    best: dict[str, tuple[int, list[int]]] = {}
    n_usable = 0
    for part in parts:
        ids = pa.chunked_array([[row["sample_id"] for row in part]], pa.string())
        draws = dict(zip(ids.to_pylist(), bits(seed, ids).tolist(), strict=True))
        worst = max(draw for draw, _ in best.values()) if len(best) >= n else 1 << 64
        rows = {row["sample_id"]: row for row in part}
        near = [one for one in rows if draws[one] < worst and one not in best]
        for one, encoded in zip(near, encoder.encode([rows[one] for one in near]), strict=True):
            if encoded.answers:
                best[one] = draws[one], encoded.ids
        n_usable = max(n_usable, len(best))
        best = dict(sorted(best.items(), key=lambda item: (item[1][0], item[0]))[:n])
    if n_usable < n:
        raise DataError(f"{n} rows are asked for, but the data has {n_usable} usable ones")
    return [ids for _, ids in best.values()]
