"""The two sides of a comparison: a run, or rows that were chosen elsewhere.

Rows are matched by `sample_id`, the hash of their content, so that runs over different or appended
pools can be compared. A content that stands in a pool several times counts once, as kept if any of
its rows is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .finished import Finished
from .kept_rows import kept_messages
from .report.texts import lengths
from .row_search import lines
from .selection import KEPT, REJECTED
from .verdict import order_of

HEAD = ("row_id", "sample_id", "source", "outcome", "step", "reason", "rank")
TURNS = ("user", "assistant")


@dataclass(frozen=True)
class Lengths:
    """Characters of some rows.

    Attributes:
        instruction, answer: (rows,) of all user turns, and of all answers.
    """

    instruction: np.ndarray
    answer: np.ndarray


@dataclass(frozen=True)
class Side:
    """One side.

    Attributes:
        name: the run's folder, or the path of the rows.
        rows: a line for each content: `HEAD`, and the scores and percentiles of a run. Of rows
            chosen elsewhere `row_id` is their place there, and all were kept.
        run: None for rows chosen elsewhere.
        order: the score that the last selector goes by.
        budget: in words.
        lengths: of rows chosen elsewhere.
        n_rows: kept rows, those of one content counted apart.
    """

    name: str
    rows: pa.Table
    run: Finished | None = None
    order: str | None = None
    budget: str = ""
    lengths: Lengths | None = None
    n_rows: int = 0

    @property
    def kept(self) -> np.ndarray:
        """(contents,) whether it was kept."""
        return np.asarray(pc.equal(self.rows["outcome"], KEPT).to_numpy())

    @property
    def scores(self) -> tuple[str, ...]:
        """The names of its scores, such as `ifd.score`."""
        return tuple(name for name in self.rows.column_names if name.endswith(".score"))

    def kept_lengths(self) -> Lengths:
        """Return the lengths of the rows that it kept.

        Raises:
            ArtifactError, DataError: their text is gone.
        """
        if self.run is None:
            assert self.lengths is not None
            return self.lengths
        parts = [
            [lengths(table["messages"], role) for role in TURNS]
            for table in kept_messages(self.run)
        ]
        instruction, answer = map(np.concatenate, zip(*parts, strict=True))
        return Lengths(instruction, answer)


def side_of(run: Finished, name: str) -> Side:
    """Return a run as a side; of its ledger only what is compared is read.

    Args:
        run: the run.
        name: of the side.

    Raises:
        ArtifactError: the ledger is damaged.
    """
    scored = [f"{one}.{kind}" for one in run.config.scorers for kind in ("score", "percentile")]
    table = lines(run, [*HEAD, *scored], pc.field("outcome") != REJECTED)
    limit, cost = run.manifest["budget"]["limit"], run.manifest["budget"]["cost"]
    budget = f"{limit:,} {'rows' if cost is None else 'answer tokens'}"
    return Side(name, distinct(table), run, order_of(run), budget, n_rows=run.manifest["rows_kept"])


def distinct(table: pa.Table) -> pa.Table:
    """Return one line for each sample_id: that of a kept row, or else the first."""
    order = np.argsort(~np.asarray(pc.equal(table["outcome"], KEPT).to_numpy()), kind="stable")
    codes = table["sample_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    if len(codes) == codes.max(initial=-1) + 1:
        return table.combine_chunks()
    _, first = np.unique(codes[order], return_index=True)
    return table.take(pa.array(np.sort(order[first]))).combine_chunks()


def snippets(side: Side, row_ids: list[int]) -> Iterator[str]:
    """Yield the first user turn of some rows of a run.

    Raises:
        ArtifactError, DataError: their text is gone.
    """
    assert side.run is not None
    for messages in side.run.rows(row_ids)["messages"].to_pylist():
        yield next((m["content"] for m in messages if m["role"] == "user"), "")
