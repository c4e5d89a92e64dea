"""Conversations for tests of filters."""

import pyarrow as pa
from tamis.stages.base import ROWS

BLANK = {"name": None, "tool_calls": None, "tool_call_id": None}


def rows(*turns, starts=None):
    """A table of conversations: each a list of messages, the user's first, in turn.

    Args:
        turns: of each row.
        starts: where the input of each begins.
    """
    made = [
        [
            BLANK | {"role": "assistant" if place % 2 else "user", "content": text}
            for place, text in enumerate(row)
        ]
        for row in turns
    ]
    columns = {
        "messages": pa.array(made, ROWS.field("messages").type),
        "input_start": pa.array(starts or [None] * len(made), pa.int32()),
    }
    return pa.table(columns)


def answers(*texts):
    """A table of rows with these answers."""
    return rows(*(["Say something about it.", text] for text in texts))


def reasons(own, table):
    """What stands before the colon of each row's reason."""
    found = own(table.select(own.reads.names))["reason"].to_pylist()
    return [None if reason is None else reason.split(":")[0] for reason in found]
