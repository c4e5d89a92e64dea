"""Rows that hold the words of test items: n-gram overlap.

    coverage  share of an item's words that lie in n-grams (n words one after the other) which the
              row holds as well: the largest of that of the instruction, of the answer, of both

Case, white space, punctuation and Unicode forms do not count (`stages.plain_text`). An item is
looked for in the whole row, so an answer is also found in an instruction. The coverage is that of
open-instruct (Lambert et al. 2024, arXiv 2411.15124), for each side; the n-grams are those of
datatrove, which lets those within an instruction not count (`instruction_only: false`), as there a
web page is no training row: for instruction data they do.

Sides of fewer than n words count only within the whole item. Of such an instruction a row holds all
where one of its messages is that instruction and nothing else; a short answer alone, such as a
number, says nothing.
"""

from collections.abc import Mapping
from typing import ClassVar, final

import pyarrow as pa
from pydantic import Field

from ..overlap import index_of, overlaps
from .held_out import HeldOut, Touch

LONGEST = 300  # characters of the words that are shown


@final
class Contamination(HeldOut):
    """Drops rows that cover too much of a test item."""

    measure: ClassVar[str] = "coverage"

    n: int = Field(default=8, ge=2)
    """Words of an n-gram; 8 to 13 are usual."""
    coverage: float = Field(default=0.5, gt=0, le=1)
    """A row with this coverage or more is dropped."""
    instruction_only: bool = True
    """Whether what a row holds of the instruction alone counts."""

    @property
    def further(self) -> pa.Schema:
        """The coverage of either side, and the words that row and item share."""
        sides = [(f"{side}_coverage", pa.float32()) for side in ("instruction", "answer")]
        return pa.schema([*sides, ("match", pa.string())])

    def aim(self, targets: Mapping[str, pa.Table]) -> pa.Table:
        """Return the index of the n-grams."""
        return index_of([targets[name] for name in self.targets], self.n, self.instruction_only)

    def judge(self, rows: pa.Table, fitted: pa.Table | None = None) -> pa.Table:
        """Return reasons, and the item that a row covers most.

        Raises:
            ValueError: nothing was aimed at.
        """
        if fitted is None:
            raise ValueError("contamination needs the index that `aim` makes of the targets")
        found = overlaps(rows, fitted, self.n, self.instruction_only, self.coverage)
        touches = (
            Touch(
                *(one.row, one.target, one.item, one.coverage),
                {
                    "instruction_coverage": one.instruction,
                    "answer_coverage": one.answer,
                    "match": shortened(one.words),
                },
            )
            for one in found
        )
        return self.judged(len(rows), touches, self.coverage)


def shortened(text: str) -> str:
    """Return a text of so many characters at most."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
