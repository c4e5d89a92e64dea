"""Which rows a report looks at where looking at all would mean to read every text of the pool.

Rows lie in parts. Of a large pool some parts are drawn, by seed and content, and only those are
read; what is said of their rows is then said of so many rows. Of smaller pools all is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ...scorers.random import bits
from ..finished import Finished
from ..store import Part
from .beside import Beside

MOST_ROWS = 65_536


@dataclass(frozen=True)
class Sample:
    """The rows that texts are read of.

    Attributes:
        parts: in which they lie, in order.
        rows: (usable rows,) bool.
    """

    parts: Sequence[Part]
    rows: np.ndarray

    def describe(self) -> str:
        """Return a few words on which rows these are."""
        if self.rows.all():
            return f"all {len(self.rows):,} usable rows"
        return f"{int(self.rows.sum()):,} rows, in {len(self.parts)} parts of the pool drawn"


def draw_sample(run: Finished, beside: Beside, most: int = MOST_ROWS) -> Sample:
    """Return about `most` rows of a run's pool, in whole parts; all where it has no more.

    Raises:
        DataError: the pool is no longer in the store.
    """
    parts = run.pool.parts
    seed = int(run.manifest["config"]["seed"])
    order = np.argsort(bits(seed, pa.chunked_array([[part.rows for part in parts]])), kind="stable")
    counts = np.array([part.n_rows for part in parts])
    fitting = int(np.searchsorted(np.cumsum(counts[order]), most, "right"))
    drawn = np.zeros(len(parts), dtype=bool)
    drawn[order[: max(fitting, 1)]] = True
    chosen = [part for part, taken in zip(parts, drawn, strict=True) if taken]
    return Sample(chosen, np.repeat(drawn, counts))
