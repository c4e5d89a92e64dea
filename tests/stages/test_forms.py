import json

import pyarrow as pa
import pytest
from tamis.stages.formats import FORMATS, read_record
from tamis.stages.forms import (
    CALL_IDS,
    FORMS,
    LAST_ANSWER,
    Unfit,
    form_schema,
    in_form,
    opened,
    several_answers,
)

TOOLS = '[{"function":{"name":"add"},"type":"function"}]'
CALL = '[{"function":{"arguments":"{\\"a\\": 1}","name":"add"},"id":"c1","type":"function"}]'


def said(role, content, **fields):
    return {"role": role, "content": content, **fields}


def row(*messages, tools=None, input_start=None):
    return {"messages": list(messages), "tools": tools, "input_start": input_start}


PLAIN = row(said("system", "Be brief."), said("user", "Add.\n1 2"), said("assistant", "3"))
DIALOGUE = row(*(said(role, role[0]) for role in ("user", "assistant", "user", "assistant")))
WITH_TOOLS = row(
    said("user", "1 + 1?"),
    said("assistant", "", tool_calls=CALL),
    said("tool", "2", tool_call_id="c1"),
    said("assistant", "It is 2."),
    tools=TOOLS,
)


def test_messages_hold_everything():
    for one in (PLAIN, DIALOGUE, WITH_TOOLS):
        found, lost = in_form("messages", one)
        assert found == {"messages": one["messages"], "tools": one["tools"]} and lost == []


def test_prompt_and_completion():
    found, lost = in_form("prompt-completion", PLAIN)
    assert found["prompt"] == [said("system", "Be brief."), said("user", "Add.\n1 2")]
    assert found["completion"] == [said("assistant", "3")] and lost == []
    found, lost = in_form("prompt-completion", DIALOGUE)
    assert len(found["prompt"]) == 3 and lost == [LAST_ANSWER]


def test_sharegpt():
    found, lost = in_form("sharegpt", PLAIN)
    turns = [("system", "Be brief."), ("human", "Add.\n1 2"), ("gpt", "3")]
    assert found["conversations"] == [{"from": f, "value": v} for f, v in turns]
    assert found["tools"] == "" and lost == []


def test_sharegpt_with_tools():
    found, lost = in_form("sharegpt", WITH_TOOLS)
    speakers = [turn["from"] for turn in found["conversations"]]
    assert speakers == ["human", "function_call", "observation", "gpt"]
    call = json.loads(found["conversations"][1]["value"])
    assert call == [{"name": "add", "arguments": {"a": 1}}]
    assert found["tools"] == TOOLS and lost == [CALL_IDS]


@pytest.mark.parametrize(
    ("calls", "content", "why"),
    [
        (CALL, "Let me see.", "text beside a tool call"),
        ('[{"type":"function"}]', "", "a tool call without a name"),
        ("[3]", "", "a tool call without a name"),
        ('{"arguments":"{","name":"f"}', "", "a tool call whose arguments are no JSON"),
    ],
)
def test_what_sharegpt_cannot_hold(calls, content, why):
    turns = [said("user", "q"), said("assistant", content, tool_calls=calls)]
    with pytest.raises(Unfit, match=why):
        in_form("sharegpt", row(*turns, said("tool", "2"), said("assistant", "a")))


def test_nor_several_tool_results():
    turns = [said("user", "q"), said("assistant", "", tool_calls='{"name":"f"}')]
    with pytest.raises(Unfit, match="several tool results in a row"):
        in_form(
            "sharegpt", row(*turns, said("tool", "1"), said("tool", "2"), said("assistant", "a"))
        )


def test_alpaca_has_the_input_apart():
    found, lost = in_form("alpaca", PLAIN | {"input_start": 5})
    assert found == {"instruction": "Add.", "input": "1 2", "output": "3", "system": "Be brief."}
    assert lost == []
    assert in_form("alpaca", PLAIN)[0]["instruction"] == "Add.\n1 2"
    assert in_form("alpaca", PLAIN)[0]["input"] == ""


@pytest.mark.parametrize(
    ("unfit", "why"),
    [(DIALOGUE, "several turns"), (WITH_TOOLS, "tools"), (PLAIN | {"tools": TOOLS}, "tools")],
)
def test_what_alpaca_cannot_hold(unfit, why):
    with pytest.raises(Unfit, match=why):
        in_form("alpaca", unfit)


@pytest.mark.parametrize("one", [PLAIN | {"input_start": 5}, DIALOGUE, WITH_TOOLS])
@pytest.mark.parametrize("form", ["messages", "sharegpt", "alpaca"])
def test_what_is_read_again_is_the_same_conversation(form, one):
    """Ids of calls are lost on the way through ShareGPT, so contents and roles are compared."""
    try:
        found, _ = in_form(form, one)
    except Unfit:
        assert form == "alpaca"
        return
    again = read_record(found, FORMATS[form])
    spoken = [(m["role"], m["content"]) for m in again.messages]
    assert spoken == [(m["role"], m["content"]) for m in one["messages"]]
    assert again.tools == one["tools"]
    if form == "alpaca":
        assert again.input_start == one["input_start"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("extras", [(), ("tool_call_id", "tool_calls", "tools")])
def test_rows_have_the_columns_of_their_form(form, extras):
    schema = form_schema(form, extras)
    found, _ = in_form(form, PLAIN)
    table = pa.Table.from_pylist([found], schema=schema)
    assert table.num_rows == 1
    assert set(schema.names) - {"tools"} <= set(found)
    assert ("tools" in schema.names) == (bool(extras) and form != "alpaca")


def test_opened_leaves_out_what_is_empty_in_messages_only():
    assert opened({"messages": [said("user", "a", name=None)], "tools": None}) == {
        "messages": [said("user", "a")],
        "tools": None,
    }
    found = opened(in_form("prompt-completion", WITH_TOOLS)[0])
    assert found["tools"] == json.loads(TOOLS)
    assert found["prompt"][1]["tool_calls"] == json.loads(CALL)


def test_several_answers():
    assert several_answers(DIALOGUE["messages"]) and not several_answers(PLAIN["messages"])
