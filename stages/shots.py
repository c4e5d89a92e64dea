"""Worked examples in front of the rows of a target, as a benchmark asks its questions.

With `shots: n` each row of a target is asked with the first n other rows of its subtask, in order,
at the beginning of its own user message:

    instruction of the first example
    input of it, if it has one
    answer of it
                                            an empty line
    ...
    instruction of the row
    input of it, if it has one

The answers of examples are part of the question and have no loss. The `input` of the row stays its
input, and a system message its system message; those of the examples are left out. Every row gets
the same number of examples, as in LESS (arXiv 2402.04333) for BBH: three rows per task, each asked
with the other two.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..errors import DataError
from .formats import Conversation
from .ingest import RawPart, sample_id
from .source import Source, Target


def with_shots(
    parts: Iterable[RawPart], sources: Sequence[Source], max_chars: int
) -> Iterator[RawPart]:
    """Return the parts of a pool; of a target with `shots`, with the examples in its rows.

    Args:
        parts: as `stages.ingest` gives them; of a target with `shots` all are held.
        sources: that they come from; a target stands alone.
        max_chars: of a row.

    Raises:
        DataError: a subtask with too few rows, a row of another shape than question and answer, or
            one that becomes too long.
    """
    target = sources[0]
    if not isinstance(target, Target) or not target.shots:
        yield from parts
        return
    held = list(parts)
    rows = [row for part in held for row in part.rows]
    if not any(part.rejected for part in held):  # who reads the parts says what is wrong there
        _add_examples(rows, target)
        for place, row in enumerate(rows):
            n = sum(len(message["content"] or "") for message in row["messages"])
            if n > max_chars:
                raise DataError(
                    f"{target.place}: row {place} has {n:,} characters with its shots, more than "
                    f"max_chars, {max_chars:,}"
                )
    yield from held


def _add_examples(rows: list[dict[str, Any]], target: Target) -> None:
    """Put the examples into the rows, and give these the hash of what they now are."""
    examples = [_example(row, f"{target.place}: row {i}") for i, row in enumerate(rows)]
    subtasks: dict[object, list[int]] = {}
    for place, row in enumerate(rows):
        subtasks.setdefault(_subtask(row, target), []).append(place)
    for subtask, places in subtasks.items():
        if len(places) <= target.shots:
            which = f"subtask {subtask!r}" if target.subtask else "the target"
            raise DataError(
                f"{target.place}.shots is {target.shots}, but {which} has {len(places)} rows; it "
                f"needs one more than shots, {target.shots + 1}"
            )
        for place in places:
            others = [other for other in places if other != place][: target.shots]
            _prepend("".join(examples[other] for other in others), rows[place])


def _subtask(row: dict[str, Any], target: Target) -> object:
    return row["other"].get(target.subtask.removeprefix("data.")) if target.subtask else None


def _example(row: dict[str, Any], where: str) -> str:
    """A row as a worked example.

    Raises:
        DataError: it is not one question and one answer in words.
    """
    said = [message for message in row["messages"] if message["role"] != "system"]
    roles = [message["role"] for message in said]
    if roles != ["user", "assistant"] or any("tool_calls" in message for message in said):
        raise DataError(
            f"{where} is {', '.join(roles)}, but shots are for rows of one user message and one "
            f"answer without tool calls"
        )
    return "".join(f"{message['content']}\n" for message in said) + "\n"


def _prepend(text: str, row: dict[str, Any]) -> None:
    messages = [
        message | {"content": text + message["content"]} if message["role"] == "user" else message
        for message in row["messages"]
    ]
    start = None if row["input_start"] is None else row["input_start"] + len(text)
    whole = Conversation(messages, row["tools"], start)
    row |= {"messages": messages, "input_start": start, "sample_id": sample_id(whole)}
