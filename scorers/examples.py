"""What scorers share that take the rows of all their targets as one set of vectors."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from ..errors import ContractError, DataError
from .aimed import Aimed
from .base import Scorer, row_status
from .features import Features, there
from .signals import schema


class OfExamples(Aimed, Scorer):
    """Compares the embeddings of the whole pool with those of the targets; `fit_to_targets`."""

    signal: str = "base"

    @property
    def reads(self) -> pa.Schema:
        """The embedding, and the hash by which rows are told apart and ordered."""
        ids = pa.schema([("sample_id", pa.string())])
        return pa.schema([*ids, *schema(self.signal, "embedding")])

    @property
    def fits_pool(self) -> bool:
        """Each row is one of all."""
        return True

    @property
    def target_reads(self) -> pa.Schema:
        """The embeddings of the targets."""
        return schema(self.signal, "embedding")

    @property
    def features(self) -> Features:
        """Where the vectors are."""
        return Features(f"{self.signal}.embedding")


def example_vectors(
    targets: Mapping[str, pa.Table], names: Sequence[str], features: Features
) -> np.ndarray:
    """Return the vectors of all rows of some targets, (rows, numbers) float64.

    Args:
        targets: the rows of each by name.
        names: which, in their order.
        features: where the vectors are.

    Raises:
        DataError: a row without a vector.
        ContractError: vectors of different lengths.
    """
    found = []
    for name in names:
        vectors = features.vectors(targets[name])
        known = there(vectors)
        if not known.all():
            place = int(np.flatnonzero(~known)[0])
            said = row_status(targets[name])[place]
            raise DataError(
                f"targets.{name}: row {place} has no {features.of} to compare with (status "
                f"{said}); leave it out of the target"
            )
        found.append(vectors)
    if len({vectors.shape[1] for vectors in found}) > 1:
        raise ContractError(f"{features.of} has vectors of other lengths in other targets")
    return np.concatenate(found)


def check_length(vectors: np.ndarray, examples: np.ndarray, column: str) -> None:
    """Raise where vectors of rows are not as long as those of the targets.

    Raises:
        ContractError: they are not.
    """
    if vectors.shape[1] != examples.shape[1]:
        raise ContractError(
            f"{column} has vectors of {vectors.shape[1]} numbers, those of the targets have "
            f"{examples.shape[1]}"
        )
