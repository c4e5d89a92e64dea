"""Instruction and answer of rows as a reader sees them, and the lengths of many at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...stages.templates import answer_text

Message = Mapping[str, Any]


def instruction_of(messages: Sequence[Message]) -> str:
    """Return what the first answer answers; of a longer conversation all but its last answer."""
    last = max((n for n, m in enumerate(messages) if m["role"] == "assistant"), default=0)
    before = messages[:last]
    if len(before) == 1:
        return str(before[0]["content"] or "")
    return "\n\n".join(f"{m['role']}: {answer_text(m)}" for m in before)


def last_answer_of(messages: Sequence[Message]) -> str:
    """Return the last answer of a conversation."""
    answers = [answer_text(m) for m in messages if m["role"] == "assistant"]
    return answers[-1] if answers else ""


def lengths(messages: pa.ChunkedArray, role: str | None = "assistant") -> np.ndarray:
    """Return the characters of the turns of a role, or of all, in each row, (rows,) float64."""
    column = messages.combine_chunks()
    parents = pc.list_parent_indices(column).to_numpy()
    said = pc.list_flatten(column)
    turns = pc.struct_field(said, "role")
    own = np.ones(len(turns), bool) if role is None else np.asarray(pc.equal(turns, role))
    n_chars = pc.fill_null(pc.utf8_length(pc.struct_field(said, "content")), 0).to_numpy()
    return np.bincount(parents[own], weights=n_chars[own].astype(np.float64), minlength=len(column))
