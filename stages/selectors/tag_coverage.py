"""Rows that add tags to those that are kept, the most complex first.

InsTag's sampling (Lu et al. 2023, arXiv 2308.07074): rows are visited by their number of tags, most
first; a row that has a tag which no row taken in this round has is taken. When all were visited,
the next round begins with no tags taken and the rows that are left, until the budget is spent. The
published choice is 6,000 rows. `by` may be any score; its ties are broken by the hash of the
content.
"""

from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np
import pyarrow as pa

from ...scorers.tags import tags_of
from .base import OVER_BUDGET, Budget, Choice, Growth, Selector, by_score, score_schema

NO_TAGS = "no tags"


@final
class TagCoverage(Selector):
    """Keeps rows round by round, in each those that add a tag."""

    words: ClassVar[Mapping[str, str]] = {
        NO_TAGS: "it has no tag that could be covered",
        "round": "it added a tag in round {detail}",
    }

    by: str = "tags.score"
    """Best first; the number of tags in InsTag."""
    column: str = "data.tags"
    """The tags, as `tags` reads them."""

    @property
    def growth(self) -> Growth:
        """The order does not go by the budget."""
        return "by rank"

    @property
    def reads(self) -> pa.Schema:
        """The score and the tags."""
        return score_schema(self.by).append(pa.field(self.column, pa.null()))

    def select(self, pool: pa.Table, budget: Budget) -> Choice:
        """Order: round by round, then rows without tags; the margin is in rounds."""
        by = by_score(pool, self.by)
        rounds = _rounds(tags_of(pool[self.column]), by)
        order = by[np.argsort(rounds[by], kind="stable")]
        bare = np.isinf(rounds)
        n_kept = min(budget.fits(pool, order), int((~bare).sum()))
        last = rounds[order[n_kept - 1]] if n_kept else 0.0
        reason = np.full(len(pool), OVER_BUDGET, dtype=object)
        reason[bare] = NO_TAGS
        pulled = np.full(len(pool), "", dtype=object)
        pulled[~bare] = [f"round: {number:g}" for number in rounds[~bare]]
        return Choice(order, n_kept, reason, np.where(bare, np.nan, last - rounds), pulled=pulled)


def _rounds(tags: list[frozenset[str] | None], order: np.ndarray) -> np.ndarray:
    """The round in which each row is taken, from 1, (rows,); infinite for a row without tags.

    A row that is taken in a round had all its tags covered in those before, so a tag is covered in
    the first rounds up to some number, and a row comes in the one after the least of its tags'.
    """
    covered: dict[str, int] = {}
    rounds = np.full(len(order), np.inf)
    for row in order.tolist():
        if own := tags[row]:
            number = min(covered.get(tag, 0) for tag in own) + 1
            covered.update((tag, max(covered.get(tag, 0), number)) for tag in own)
            rounds[row] = number
    return rounds
