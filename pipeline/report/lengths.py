"""How long the answers of a pool's rows are, from the cheapest place that knows it."""

from dataclasses import dataclass

import numpy as np

from ..finished import Finished
from .beside import Beside
from .sampling import Sample
from .texts import lengths

COLUMNS = (
    (".given.token_loss_count", "tokens"),
    (".answer_tokens", "tokens"),
    (".answer_chars", "characters"),
)


@dataclass(frozen=True)
class Lengths:
    """Lengths of answers.

    Attributes:
        values: (usable rows,) float64, NaN where it is not known.
        unit: tokens or characters.
        of: which rows they are known of.
    """

    values: np.ndarray
    unit: str
    of: str


def find_lengths(run: Finished, beside: Beside, sample: Sample) -> Lengths:
    """Return the lengths of answers: from a computed column, else of the texts of a sample.

    Raises:
        DataError: they are no longer in the store.
        ArtifactError: likewise.
    """
    for ending, unit in COLUMNS:
        for name in run.columns:
            if name.endswith(ending):
                tables = run.tables([name])
                values = np.concatenate([table[name].to_numpy() for table in tables])
                values = values.astype(np.float64)
                return Lengths(values, unit, f"{np.isfinite(values).sum():,} rows, by {name}")
    values = np.full(len(beside.rows), np.nan)
    columns = {"messages": run.pool.address("messages")}
    tables = run.store.read_pool(sample.parts, columns)
    values[sample.rows] = np.concatenate([lengths(table["messages"]) for table in tables])
    return Lengths(values, "characters", sample.describe())
