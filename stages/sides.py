"""The texts of one side of a conversation: each of its answers, or each message before them."""

from typing import Literal

import pyarrow as pa

from .templates import answer_text

Side = Literal["answer", "instruction"]


def texts_of(rows: pa.Table, side: Side) -> list[list[str]]:
    """Return the texts of a side for each row, in order.

    Args:
        rows: holds `messages`.
        side: `answer`: assistant messages with their tool calls; `instruction`: what users said.
    """
    if side == "answer":
        return [
            [answer_text(message) for message in messages if message["role"] == "assistant"]
            for messages in rows["messages"].to_pylist()
        ]
    return [
        [message["content"] or "" for message in messages if message["role"] == "user"]
        for messages in rows["messages"].to_pylist()
    ]
