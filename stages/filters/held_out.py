"""What filters share that drop rows which hold what test sets hold.

Targets are the test sets, and each of their rows is an *item*. Of each row the item is named that
it is most like; of items that it is equally like, the first of the first target.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, NamedTuple

import pyarrow as pa

from ...scorers.aimed import Aimed
from ..base import ROWS
from .base import REASON, Filter

CONTAMINATED = "contaminated"


class Touch(NamedTuple):
    """How like a row is to an item.

    Attributes:
        row, target, item: which; the target by its number.
        value: compared with the threshold.
        more: further details.
    """

    row: int
    target: int
    item: int
    value: float
    more: Mapping[str, float | str]


class HeldOut(Aimed, Filter):
    """Drops rows that are too like an item of a test set."""

    words: ClassVar[Mapping[str, str]] = {
        CONTAMINATED: "a test set holds too much of it: {detail}, counted from 0"
    }
    measure: ClassVar[str]
    """The detail that is compared with the threshold."""

    @property
    def reads(self) -> pa.Schema:
        """The conversation."""
        return pa.schema([ROWS.field("messages")])

    @property
    def target_reads(self) -> pa.Schema:
        """The conversation of the items."""
        return pa.schema([ROWS.field("messages")])

    @property
    def further(self) -> pa.Schema:
        """Details beside the item and what is compared with the threshold; default: none."""
        return pa.schema([])

    @property
    def details(self) -> pa.Schema:
        """The item that the row is most like, how like, and how many reach the threshold."""
        return pa.schema(
            [
                ("target", pa.string()),
                ("item", pa.int32()),  # its place in the target
                (self.measure, pa.float32()),
                ("items", pa.int32()),
                *self.further,
            ]
        )

    def judged(self, n: int, touches: Iterable[Touch], threshold: float) -> pa.Table:
        """Return reasons and details of n rows, null for one that touches no item.

        Args:
            n: rows.
            touches: in the order of targets and items.
            threshold: of the value; from there on a row is dropped.
        """
        best = dict[int, Touch]()
        count = dict[int, int]()
        for touch in touches:
            if touch.row not in best or touch.value > best[touch.row].value:
                best[touch.row] = touch
            count[touch.row] = count.get(touch.row, 0) + (touch.value >= threshold)
        lines: list[dict[str, object]] = [{}] * n
        for row, touch in best.items():
            name = self.targets[touch.target]
            lines[row] = {
                "target": name,
                "item": touch.item,
                self.measure: touch.value,
                "items": count[row],
                **touch.more,
            }
            if touch.value >= threshold:
                lines[row]["reason"] = f"{CONTAMINATED}: {name} item {touch.item}"
        return pa.Table.from_pylist(lines, schema=pa.schema([REASON, *self.details]))
