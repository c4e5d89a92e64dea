"""The kept row that is nearest to a row: by a stored embedding, or else by its words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import ArtifactError, DataError
from ..scorers.matrices import matrix, unit
from ..stages.text_likeness import METHOD, likeness
from .finished import Finished
from .kept_rows import kept_messages
from .row_search import lines
from .selection import KEPT

EMBEDDING = ".embedding"


@dataclass(frozen=True)
class Neighbour:
    """A kept row beside the one that is explained.

    Attributes:
        row_id: which.
        rank: its rank in the last step; None where no selector ranked it.
        cosine: of the two, in [-1, 1].
        by: an embedding by its full name, or the method for words.
        text: its first user turn, None where its text is gone.
    """

    row_id: int
    rank: int | None
    cosine: float
    by: str
    text: str | None


def nearest_kept(run: Finished, line: dict[str, Any], text: str | None) -> Neighbour | None:
    """Return the kept row that is nearest to a row, of those with another content.

    Args:
        run: the run.
        line: of its ledger, of a row that was not rejected.
        text: of the row; None where it is gone.

    Returns:
        None if nothing else is kept, or the row has neither an embedding nor a text.

    Raises:
        ArtifactError: a file is gone or damaged.
        DataError: the rows are no longer in the store; no kept row shares a word with it.
    """
    is_kept = pc.field("outcome") == KEPT
    other = pc.field("sample_id") != line["sample_id"]
    kept = lines(run, ("row_id", "rank"), is_kept & other)
    if not len(kept):
        return None
    found = _by_embedding(run, line["row_id"], kept)
    if found is None and text is not None:
        found = _by_words(run, kept, text)
    if found is None:
        return None
    row_id, cosine, by = found
    rank = kept["rank"][int(pc.index(kept["row_id"], row_id).as_py())].as_py()
    return Neighbour(row_id, rank, cosine, by, _first_turn(run, row_id))


def _by_embedding(run: Finished, row_id: int, kept: pa.Table) -> tuple[int, float, str] | None:
    """By the first stored embedding in which the row has a vector."""
    for name in run.columns:
        if not name.endswith(EMBEDDING):
            continue
        own = unit(matrix(run.rows([row_id], [name])[name], name))[0]
        if len(own) and np.isfinite(own).all():
            best, ids = (-np.inf, -1), kept["row_id"].to_numpy()
            for table in run.tables([name]):
                some = _among(table, ids)
                vectors = unit(matrix(some[name], name))
                if vectors.shape[1]:
                    cosines = np.nan_to_num(vectors @ own, nan=-np.inf)
                    at = int(cosines.argmax())
                    best = max(best, (float(cosines[at]), -some["row_id"][at].as_py()))
            if best[0] > -np.inf:
                return -best[1], min(best[0], 1.0), name
    return None


def _by_words(run: Finished, kept: pa.Table, text: str) -> tuple[int, float, str] | None:
    ids, wanted = list[np.ndarray](), kept["row_id"].to_numpy()

    def texts() -> Iterator[Sequence[str]]:
        for table in kept_messages(run):
            some = _among(table, wanted)
            ids.append(some["row_id"].to_numpy())
            yield [text_of(messages) for messages in some["messages"].to_pylist()]

    cosines = likeness(texts(), text)
    if not len(cosines):
        return None
    at = int(cosines.argmax())
    if cosines[at] == 0:
        raise DataError("no kept row shares a word with it")
    return int(np.concatenate(ids)[at]), min(float(cosines[at]), 1.0), METHOD


def _among(table: pa.Table, ids: np.ndarray) -> pa.Table:
    """The lines of rows with some row_ids; both are ordered by them."""
    if not len(table):
        return table
    first, last = table["row_id"][0].as_py(), table["row_id"][-1].as_py()
    own = ids[np.searchsorted(ids, first) : np.searchsorted(ids, last, "right")]
    return table.filter(pc.is_in(table["row_id"], pa.array(own)))


def text_of(messages: Sequence[dict[str, Any]]) -> str:
    """Return what the messages of a row say, one after the other."""
    return "\n".join(message["content"] or "" for message in messages)


def _first_turn(run: Finished, row_id: int) -> str | None:
    try:
        messages = run.rows([row_id])["messages"][0].as_py()
    except (DataError, ArtifactError):
        return None
    return next((m["content"] for m in messages if m["role"] == "user"), None)
