"""What a number that was worked by hand or published is made of: columns in, columns out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HAND = "by hand"

Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class ScorerGolden:
    """What a scorer must give.

    Attributes:
        use: its file.
        source: where the formula and the numbers come from.
        settings: its fields.
        rows: columns that it reads.
        expected: columns that it must give.
        targets: columns of the rows of its targets, by name.
        tolerance: of each number; in half precision the inputs are rounded.
    """

    use: str
    source: str
    rows: Columns
    expected: Columns
    settings: Mapping[str, Any] = field(default_factory=dict)
    targets: Mapping[str, Columns] = field(default_factory=dict)
    tolerance: float = 2e-6
