"""Rows whose vector is near that of a test item, such as paraphrases.

    similarity  the largest cosine of the row's vector to that of an item

Any signal of vectors will do, made of rows and items alike. What reads like a test item without
being one is near it too: look at what is found before dropping it, and see `docs`.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, final

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from ...errors import ContractError
from ...scorers.examples import example_vectors
from ...scorers.features import Features, signal_column, there
from ...scorers.matrices import lists, matrix, unit
from .held_out import HeldOut, Touch

STATE = pa.schema(
    [("target", pa.int32()), ("item", pa.int32()), ("vector", pa.list_(pa.float32()))]
)


@final
class EmbeddingContamination(HeldOut):
    """Drops rows that are too near a test item."""

    measure: ClassVar[str] = "similarity"

    of: str
    """The column of vectors by full name, such as `text.embedding`."""
    threshold: float = Field(default=0.9, ge=-1, le=1)
    """A row with this cosine or more is dropped."""

    @field_validator("of")
    @classmethod
    def _of_a_signal(cls, name: str) -> str:
        return signal_column(name) or name

    @property
    def reads(self) -> pa.Schema:
        """The vectors, and their status."""
        return Features(self.of).reads

    @property
    def target_reads(self) -> pa.Schema:
        """The same of the items."""
        return self.reads

    def aim(self, targets: Mapping[str, pa.Table]) -> pa.Table:
        """Return the vectors of the items.

        Raises:
            DataError: an item without a vector.
        """
        lines = []
        for number, name in enumerate(self.targets):
            vectors = unit(example_vectors(targets, [name], Features(self.of))).astype(np.float32)
            n = len(vectors)
            columns = [pa.array([number] * n, pa.int32()), pa.array(range(n), pa.int32())]
            lines.append(pa.table([*columns, lists(vectors)], schema=STATE))
        return pa.concat_tables([STATE.empty_table(), *lines]).combine_chunks()

    def judge(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return reasons, and the item that a row is nearest to.

        Raises:
            ValueError: nothing was aimed at.
            ContractError: vectors of other lengths than those of the items.
        """
        if fitted is None:
            raise ValueError("embedding_contamination needs the vectors of the targets, from `aim`")
        return self.judged(len(rows), self._touches(rows, fitted), self._limit)

    @property
    def _limit(self) -> float:
        return float(np.float32(self.threshold))  # cosines are float32

    def _touches(self, rows: pa.Table, fitted: pa.Table) -> Iterator[Touch]:
        """Of each row the nearest item, and all others that reach the threshold."""
        items = unit(matrix(fitted["vector"], "vector")).T
        number, place = fitted["target"].to_pylist(), fitted["item"].to_pylist()
        for some, block in Features(self.of).blocks(rows):
            if not block.shape[1]:
                continue
            if block.shape[1] != len(items):
                raise ContractError(
                    f"{self.of} has vectors of {block.shape[1]} numbers, those of the targets have "
                    f"{len(items)}"
                )
            known = np.flatnonzero(there(block))
            near = (unit(block[known]) @ items).astype(np.float32)
            limit = np.minimum(near.max(1), self._limit)
            for row, item in np.argwhere(near >= limit[:, None]).tolist():
                value = float(near[row, item])
                yield Touch(some.start + int(known[row]), number[item], place[item], value, {})
