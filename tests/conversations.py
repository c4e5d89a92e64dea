"""Small tables of conversations for tests of what goes by texts."""

import hashlib
import json
from collections.abc import Sequence

import pyarrow as pa
from tamis.stages.base import ROWS

Turn = tuple[str, str]


def said(*turns: Turn) -> list[dict[str, str]]:
    """Messages of a conversation."""
    return [{"role": role, "content": content} for role, content in turns]


def asked(*pairs: Turn) -> list[list[dict[str, str]]]:
    """Conversations of one question and one answer."""
    return [said(("user", question), ("assistant", answer)) for question, answer in pairs]


def conversations(messages: Sequence[object], **columns: object) -> pa.Table:
    """A table of rows as a stage reads them; equal messages have the same sample_id."""
    ids = [hashlib.md5(json.dumps(own).encode()).hexdigest() for own in messages]
    rows = {
        "row_id": pa.array(range(len(ids)), pa.int64()),
        "sample_id": pa.array(ids, pa.string()),
        "messages": pa.array(messages, ROWS.field("messages").type),
    }
    return pa.table(rows | columns)


def pairs(*pairs: Turn) -> pa.Table:
    """The same of questions and answers."""
    return conversations(asked(*pairs))
