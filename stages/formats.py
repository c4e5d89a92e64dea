"""The shapes of instruction data: one record of any of them to messages.

======== ======================================= ===========================================
format   fields                                  read as
======== ======================================= ===========================================
alpaca   instruction, input | context, output |  user turn (instruction, newline, input) and
         response | answer                       answer
prompt   prompt, completion | response           user turn and answer; both may be messages
qa       question, answer | answers, context     the same; of several answers the first
sharegpt conversations | conversation            turns with from and value
messages messages                                OpenAI messages: system, tools, several turns
======== ======================================= ===========================================

Every other field of a record is kept as a column of its own (`data.<field>`). A record that is not
what its format says is a `BadRecord` with a reason; it never stops a run.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FORMATS: dict[str, dict[str, tuple[str, ...]]] = {
    "messages": {"messages": ("messages",), "tools": ("tools",)},
    "sharegpt": {
        "messages": ("conversations", "conversation"),
        "system": ("system",),
        "tools": ("tools",),
    },
    "alpaca": {
        "instruction": ("instruction",),
        "input": ("input", "context"),
        "answer": ("output", "response", "answer"),
        "system": ("system", "system_prompt"),
    },
    "prompt": {
        "instruction": ("prompt",),
        "answer": ("completion", "response"),
        "system": ("system", "system_prompt"),
        "tools": ("tools",),
    },
    "qa": {
        "instruction": ("question",),
        "input": ("context",),
        "answer": ("answer", "answers", "response"),
        "system": ("system", "system_prompt"),
    },
}
NEEDED = ("messages", "instruction", "answer")
ROLES = {
    "system": "system",
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "chatgpt"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "ipython"), "tool"),
}


class BadRecord(ValueError):
    """A record that cannot be read as its format says; its text is the reason: `kind: details`."""


@dataclass(frozen=True)
class Conversation:
    """One record as messages.

    Attributes:
        messages: role, content and, where there are any, tool fields of each message.
        tools: JSON of the tools on offer, or None.
        input_start: where the `input` begins in the first user turn, or None.
        other: the fields that are not part of the conversation.
    """

    messages: list[dict[str, Any]]
    tools: str | None = None
    input_start: int | None = None
    other: dict[str, Any] = field(default_factory=dict)


def find_format(record: Mapping[str, Any]) -> str | None:
    """Return the first format whose needed fields a record has, or None."""
    for name, parts in FORMATS.items():
        if all(any(n in record for n in parts[part]) for part in NEEDED if part in parts):
            return name
    return None


def read_record(record: object, parts: Mapping[str, tuple[str, ...]]) -> Conversation:
    """Return one record as a conversation.

    Args:
        record: a mapping of fields.
        parts: for each part (messages, or instruction, input and answer; system and tools) the
            fields that may play it; the first that the record has does.

    Raises:
        BadRecord: the reason.
    """
    if not isinstance(record, Mapping):
        raise BadRecord(f"wrong type: the row is {_kind(record)}, not an object")
    columns = {
        part: next((name for name in names if name in record), names[0])
        for part, names in parts.items()
    }
    for part in NEEDED:
        if part in columns and columns[part] not in record:
            raise BadRecord(f"missing field: {' or '.join(map(repr, parts[part]))}")
    other = {name: value for name, value in record.items() if name not in columns.values()}
    given = {part: record.get(name) for part, name in columns.items()}
    tools = _as_json(given.get("tools"), "tools")
    if "messages" in columns:
        messages = _messages(given["messages"], columns["messages"])
        input_start = None
    else:
        messages, input_start = _single_turn(given, columns)
    if (system := _text(given.get("system"), columns.get("system", ""), optional=True)) and (
        messages[0]["role"] != "system"
    ):
        messages = [{"role": "system", "content": system}, *messages]
    check_turns(messages)
    return Conversation(messages, tools, input_start, other)


def check_turns(messages: list[dict[str, Any]]) -> None:
    """Raise if the turns are out of order or empty.

    Raises:
        BadRecord: the reason.
    """
    before = "start"
    for message in messages:
        role = message["role"]
        if role not in FOLLOWS[before]:
            raise BadRecord(f"turn order broken: {role} after {before}")
        if role != "tool" and not message["content"].strip() and "tool_calls" not in message:
            side = {"assistant": "answer", "user": "instruction"}.get(role, role)
            raise BadRecord(f"empty {side}")
        before = role
    if before != "assistant":
        raise BadRecord(f"turn order broken: {before} at the end")


FOLLOWS = {
    "start": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("tool", "assistant"),
}


def _single_turn(
    given: Mapping[str, Any], columns: Mapping[str, str]
) -> tuple[list[dict[str, Any]], int | None]:
    instruction, answer = given["instruction"], _first_answer(given["answer"])
    if isinstance(instruction, list) and isinstance(answer, list):  # conversational prompt
        return _messages([*instruction, *answer], columns["instruction"]), None
    user = _text(instruction, columns["instruction"])
    extra = _text(given.get("input"), columns.get("input", ""), optional=True)
    input_start = None
    if extra.strip():
        if not user.strip():
            raise BadRecord("empty instruction")
        input_start = len(user) + 1
        user = f"{user}\n{extra}"
    reply = _text(answer, columns["answer"])
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]
    return messages, input_start


def _first_answer(answer: object) -> object:
    """Of several answers (a list of texts, or SQuAD's {"text": [...]}) the first."""
    if isinstance(answer, Mapping) and "text" in answer:
        answer = answer["text"]
    if isinstance(answer, list) and all(isinstance(one, str) for one in answer):
        return answer[0] if answer else ""
    return answer


def _messages(turns: object, name: str) -> list[dict[str, Any]]:
    if not isinstance(turns, list) or not turns:
        what = "an empty list" if turns == [] else _kind(turns)
        raise BadRecord(f"wrong type: field {name!r} is {what}, not a list of turns")
    return [_message(turn, name) for turn in turns]


def _message(turn: object, name: str) -> dict[str, Any]:
    if not isinstance(turn, Mapping):
        raise BadRecord(f"wrong type: a turn of {name!r} is {_kind(turn)}, not an object")
    role = turn.get("role", turn.get("from"))
    if role == "function_call":  # an assistant's call, in the ShareGPT dialect of LLaMA-Factory
        call = _as_json(turn.get("value", turn.get("content")), "function_call")
        if call is None:
            raise BadRecord("empty function_call")
        return {"role": "assistant", "content": "", "tool_calls": call}
    if not isinstance(role, str) or role.lower() not in ROLES:
        raise BadRecord(f"unknown role: {str(role)[:50]} (known: {', '.join(ROLES)})")
    content = turn.get("content", turn.get("value", turn.get("text")))
    calls = _as_json(turn.get("tool_calls"), "tool_calls")
    message: dict[str, Any] = {
        "role": ROLES[role.lower()],
        "content": _content(content, optional=calls is not None),
    }
    if calls is not None:
        message["tool_calls"] = calls
    for part in ("name", "tool_call_id"):
        if isinstance(turn.get(part), str):
            message[part] = turn[part]
    return message


def _content(content: object, *, optional: bool) -> str:
    """Text of a message; a list of text parts is put together."""
    if isinstance(content, list):
        kinds = [part.get("type") if isinstance(part, Mapping) else None for part in content]
        if any(kind != "text" for kind in kinds):
            raise BadRecord(f"content that is not text: parts of type {kinds}")
        content = "".join(str(part.get("text", "")) for part in content)
    return _text(content, "content", optional=optional)


def _text(value: object, name: str, *, optional: bool = False) -> str:
    if value is None and optional:
        return ""
    if not isinstance(value, str):
        raise BadRecord(f"wrong type: field {name!r} is {_kind(value)}, not text")
    return value


def _as_json(value: object, name: str) -> str | None:
    if value is None or value in ("", [], {}):
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise BadRecord(f"bad JSON: in field {name!r}") from error
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _kind(value: object) -> str:
    names = {type(None): "null", bool: "true or false", int: "a number", float: "a number"}
    names |= {str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)
