"""One source of answers for a whole dataset: the one that scores best where all have answered.

Several models or people have answered the same instructions. On a sample of the instructions that
every source has answered, a source is worth the mean of the scores of its answers; all rows of the
best one are kept. With the fit to the base model as the score (`grape`) this chooses how a whole
dataset is answered, from a few answers of each way, as Ren et al. 2025 (arXiv 2502.11779) do it by
the likeness to the model's own answers. The means are compared where they can be: a source that has
only answered easy instructions gains nothing by it.

Rows without a score do not reach it, and count for no source. Of several answers of a source to one
instruction the mean counts. Equal sources: the first by name.
"""

from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np
import pyarrow as pa
from pydantic import Field

from ...errors import PlanError
from ...scorers.random import bits
from .base import Budget, Choice, Growth, Selector, by_score, score_schema, scores
from .groups import groups_of

MOST = 1000  # sources; a column of more names something else
SHOWN = 80  # characters of a name, which may be any text of the rows


@final
class BestSource(Selector):
    """Keeps the rows of one source, whatever the budget."""

    words: ClassVar[Mapping[str, str]] = {
        "another source": "its source scores less than the one that is kept: {detail}",
        "no source": "nothing says which source it is of",
        "best source": "its source scores best where all have answered: {detail}",
    }

    by: str
    column: str = "source"
    """That names the sources: `source`, or an input column such as `data.generator`."""
    instruction: str
    """That names the instructions, such as `instruction.group` of `exact_duplicates`."""
    sample: int = Field(default=1000, ge=1)
    """Instructions that are compared at most."""
    seed: int | None = None
    """Of the sample."""

    @property
    def growth(self) -> Growth:
        """The sources do not know of the budget."""
        return "never"

    @property
    def reads(self) -> pa.Schema:
        """The score, the sources and the instructions."""
        names = dict.fromkeys([self.column, self.instruction])
        fields = [pa.field(name, pa.null()) for name in names]
        return pa.schema([*score_schema(self.by), *fields])

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order: the rows of the best source, then the others, each by score.

        The margin of a row is from the mean of its source to that of the best other one.

        Raises:
            PlanError: no instruction has an answer of every source, or these are too many.
        """
        names, source = groups_of(pool[self.column])
        order, values = by_score(pool, self.by), scores(pool, self.by)
        reason = np.full(len(pool), "no source", dtype=object)
        margin, pulled = np.full(len(pool), np.nan), np.full(len(pool), "", dtype=object)
        if not names:
            return Choice(order, 0, reason, margin)
        if len(names) > MOST:
            raise PlanError(
                f"best_source: {self.column} has {len(names):,} values; at most {MOST:,}"
            )
        means, n = self._means(pool, names, source)
        best = int(np.argmax(means))
        gaps = means - means[best]
        gaps[best] = means[best] - np.max(np.delete(means, best), initial=-np.inf)
        names = [_shown(name) for name in names]
        told = [f"{name} ({mean:.4g})" for name, mean in zip(names, means.tolist(), strict=True)]
        known, kept = source >= 0, source == best
        reason[known] = np.array([f"another source: {text}" for text in told], object)[
            source[known]
        ]
        margin[known] = gaps[source[known]]
        pulled[kept] = f"best source: {told[best]}"
        order = np.concatenate([order[kept[order]], order[~kept[order]]])
        return Choice(
            *(order, int(kept.sum()), reason, margin, values, pulled),
            said=self._table(names, source, means, n),
        )

    def _means(
        self, pool: pa.Table, names: list[str], source: np.ndarray
    ) -> tuple[np.ndarray, int]:
        """The mean of each source on the sample of common instructions, and how many these are."""
        asked, instruction = groups_of(pool[self.instruction])
        known = (source >= 0) & (instruction >= 0)
        pairs = np.unique(instruction[known] * len(names) + source[known])
        answered = np.bincount(pairs // len(names), minlength=len(asked))
        common = np.flatnonzero(answered == len(names))
        if not len(common):
            raise PlanError(
                f"best_source: no {self.instruction} has an answer of every {self.column} with a "
                f"{self.by}: {', '.join(names[:20])}"
            )
        drawn = bits(self.seed or 0, pa.array([asked[place] for place in common.tolist()]))
        common = np.sort(common[np.argsort(drawn, kind="stable")[: self.sample]])
        place = np.full(len(asked) + 1, -1)  # the last: of rows that are of no instruction
        place[common] = np.arange(len(common))
        compared = known & (place[instruction] >= 0)
        shape = (len(names), len(common))  # no more than there are rows
        cells = source[compared] * len(common) + place[instruction[compared]]
        # added up in an order of their own, so that no mean depends on the order of the pool
        own = scores(pool, self.by)[compared]
        line = np.lexsort((own, cells))
        sums = np.bincount(cells[line], weights=own[line]).reshape(shape)
        return (sums / np.bincount(cells).reshape(shape)).mean(axis=1), len(common)

    def _table(
        self, names: list[str], source: np.ndarray, means: np.ndarray, n: int
    ) -> tuple[str, ...]:
        """A line for each source, the best first."""
        rows = np.bincount(source[source >= 0], minlength=len(names))
        order = np.argsort(-means, kind="stable").tolist()
        lines = [f"{names[place]}: {means[place]:.4g}, {rows[place]:,} rows" for place in order]
        return (f"mean {self.by} on {n:,} instructions that every {self.column} has", *lines)


def _shown(name: str) -> str:
    """A name on one line, and short: it is printed, and stands in the reason of every row."""
    line = " ".join(name.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
