"""A row in the forms that trainers ask for, and what a form cannot hold of it.

================== =============================================================================
form               columns
================== =============================================================================
messages           messages: OpenAI messages
prompt-completion  prompt, completion: messages before the last answer, and that answer
sharegpt           conversations: turns with from and value, as LLaMA-Factory and Axolotl read them
alpaca             instruction, input, output, system: a single turn
================== =============================================================================

All but alpaca also have `tools` where some row of the pool has. A row that a form cannot hold is
`Unfit` with a reason; what it loses in a form that holds the rest is a note.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from .base import plain_json

TOOL_FIELDS = ("name", "tool_calls", "tool_call_id")
JSON_FIELDS = ("tools", "tool_calls")
SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}
LAST_ANSWER = "earlier answers are context: only the last one is the completion"
CALL_IDS = "ids of tool calls and names of speakers are left out"


class Unfit(ValueError):
    """A row that a form cannot hold; its text is the reason."""


def message_type(extras: Sequence[str]) -> pa.DataType:
    """Return the type of messages.

    Args:
        extras: which of `TOOL_FIELDS` there are.
    """
    fields = [("role", pa.string()), ("content", pa.string())]
    fields += [(name, pa.string()) for name in TOOL_FIELDS if name in extras]
    return pa.list_(pa.struct(fields))


def form_schema(form: str, extras: Sequence[str]) -> pa.Schema:
    """Return the columns of a form.

    Args:
        form: one of `FORMS`.
        extras: what some row of the pool has: tools, and the tool fields of messages.
    """
    turns = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))
    spoken = message_type(extras)
    columns = {
        "messages": {"messages": spoken},
        "prompt-completion": {"prompt": spoken, "completion": spoken},
        "sharegpt": {"conversations": turns},
        "alpaca": dict.fromkeys(("instruction", "input", "output", "system"), pa.string()),
    }[form]
    if "tools" in extras and form != "alpaca":
        columns["tools"] = pa.string()
    return pa.schema(list(columns.items()))


def in_form(form: str, row: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a row in a form, with tools and tool calls as JSON text, and notes of what it lost.

    Args:
        form: one of `FORMS`.
        row: messages, tools and input_start, as in `ROWS`.

    Raises:
        Unfit: the form cannot hold it.
    """
    return FORMS[form](row)


def opened(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of messages with tools and tool calls as objects.

    Messages are without what is empty; the columns of a row are not: some versions of `datasets`
    want them in every line.
    """
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name in JSON_FIELDS:
            found[name] = None if value is None else json.loads(value)
        else:
            found[name] = [_open(message) for message in value]
    return found


def several_answers(messages: list[Mapping[str, Any]]) -> bool:
    """Return whether the assistant speaks more than once."""
    return [message["role"] for message in messages].count("assistant") > 1


def _open(message: Mapping[str, Any]) -> dict[str, Any]:
    plain = plain_json(message)
    return {k: json.loads(v) if k in JSON_FIELDS else v for k, v in plain.items()}


def _messages(row: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    return {"messages": row["messages"], "tools": row["tools"]}, []


def _prompt_completion(row: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    messages = row["messages"]
    found = {"prompt": messages[:-1], "completion": messages[-1:], "tools": row["tools"]}
    return found, [LAST_ANSWER] if several_answers(messages) else []


def _alpaca(row: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    messages = row["messages"]
    if row["tools"] or any(message.get("tool_calls") for message in messages):
        raise Unfit("tools")
    if several_answers(messages):
        raise Unfit("several turns")
    *before, user, answer = messages
    start, text = row["input_start"], user["content"]
    return {
        "instruction": text if start is None else text[: start - 1],
        "input": "" if start is None else text[start:],
        "output": answer["content"],
        "system": before[0]["content"] if before else "",
    }, [CALL_IDS] if any(message.get("name") for message in messages) else []


def _sharegpt(row: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    turns, lost, before = [], False, ""
    for message in row["messages"]:
        speaker, value = SPEAKERS[message["role"]], message["content"]
        calls = message.get("tool_calls")
        if calls and value.strip():
            raise Unfit("text beside a tool call")
        if calls:
            lost |= any("id" in call for call in _listed(calls))
            speaker, value = "function_call", json.dumps(_functions(calls), ensure_ascii=False)
        if speaker == before == "observation":
            raise Unfit("several tool results in a row")
        lost |= any(message.get(name) for name in ("name", "tool_call_id"))
        turns.append({"from": speaker, "value": value})
        before = speaker
    return {"conversations": turns, "tools": row["tools"] or ""}, [CALL_IDS] if lost else []


def _functions(calls: str) -> list[dict[str, Any]]:
    """Name and arguments of each call.

    Raises:
        Unfit: a call without them.
    """
    functions = []
    for call in _listed(calls):
        function = call.get("function", call)
        if not isinstance(function, dict) or "name" not in function:
            raise Unfit("a tool call without a name")
        arguments = function.get("arguments", {})
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except ValueError as error:
                raise Unfit("a tool call whose arguments are no JSON") from error
        functions.append({"name": function["name"], "arguments": arguments})
    return functions


def _listed(calls: str) -> list[dict[str, Any]]:
    found = json.loads(calls)
    found = found if isinstance(found, list) else [found]
    if not all(isinstance(call, dict) for call in found):
        raise Unfit("a tool call without a name")
    return list(found)


Form = Callable[[Mapping[str, Any]], tuple[dict[str, Any], list[str]]]
FORMS: dict[str, Form] = {
    "messages": _messages,
    "prompt-completion": _prompt_completion,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
}
