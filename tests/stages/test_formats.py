import json

import pytest
from tamis.stages.formats import FORMATS, BadRecord, find_format, read_record

CALL = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


def read(record, name=None):
    return read_record(record, FORMATS[name or find_format(record)])


def turns(record, name=None):
    return [(m["role"], m["content"]) for m in read(record, name).messages]


@pytest.mark.parametrize(
    ("record", "name", "expected"),
    [
        ({"instruction": "a", "input": "", "output": "b"}, "alpaca", ["a", "b"]),
        ({"instruction": "a", "output": "b"}, "alpaca", ["a", "b"]),
        ({"instruction": "a", "context": "c", "response": "b"}, "alpaca", ["a\nc", "b"]),
        ({"prompt": "a", "completion": "b"}, "prompt", ["a", "b"]),
        ({"prompt": "a", "response": "b"}, "prompt", ["a", "b"]),
        ({"question": "a", "answer": "b"}, "qa", ["a", "b"]),
        ({"question": "a", "answers": ["b", "c"]}, "qa", ["a", "b"]),
        ({"question": "a", "context": "c", "answers": {"text": ["b"]}}, "qa", ["a\nc", "b"]),
        (
            {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
            "sharegpt",
            ["a", "b"],
        ),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            "messages",
            ["a", "b"],
        ),
    ],
)
def test_shapes_are_found_and_read(record, name, expected):
    assert find_format(record) == name
    assert [content for _, content in turns(record)] == expected
    assert [role for role, _ in turns(record)] == ["user", "assistant"]


def test_the_input_keeps_its_place():
    conversation = read({"instruction": "Sort.", "input": "3 1", "output": "1 3"})
    assert conversation.messages[0]["content"][conversation.input_start :] == "3 1"
    assert read({"instruction": "Sort.", "input": " ", "output": "1"}).input_start is None


def test_other_fields_are_kept():
    record = {"instruction": "a", "output": "b", "rating": 4, "answer": "c"}
    assert read(record).other == {"rating": 4, "answer": "c"}


def test_conversational_prompt_and_completion():
    record = {
        "prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}],
        "completion": [{"role": "assistant", "content": "b"}],
    }
    assert turns(record) == [("system", "s"), ("user", "a"), ("assistant", "b")]


def test_system_tools_and_several_turns():
    record = {
        "messages": [
            {"role": "system", "content": "s"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {"role": "assistant", "content": None, "tool_calls": CALL},
            {"role": "tool", "content": "42", "tool_call_id": "1", "name": "f"},
            {"role": "assistant", "content": "c"},
            {"role": "user", "content": "d"},
            {"role": "assistant", "content": "e"},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    found = read(record)
    assert [m["role"] for m in found.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "assistant",
    ]
    assert found.messages[1]["content"] == "ab"
    assert json.loads(found.messages[2]["tool_calls"]) == CALL
    assert found.messages[3]["tool_call_id"] == "1"
    assert json.loads(found.tools) == record["tools"]
    as_text = read(record | {"tools": json.dumps(record["tools"])})
    assert as_text.tools == found.tools


def test_sharegpt_with_system_field_and_tool_turns():
    record = {
        "system": "s",
        "conversations": [
            {"from": "human", "value": "a"},
            {"from": "function_call", "value": '{"name": "f"}'},
            {"from": "observation", "value": "42"},
            {"from": "gpt", "value": "b"},
        ],
    }
    found = read(record)
    assert [m["role"] for m in found.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert found.messages[2]["tool_calls"] == '{"name":"f"}'


USER, REPLY = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}


@pytest.mark.parametrize(
    ("record", "name", "reason"),
    [
        ({"instruction": "a"}, "alpaca", "missing field: 'output' or 'response'"),
        ({"output": "a"}, "alpaca", "missing field: 'instruction'"),
        ({"prompt": "a"}, "prompt", "missing field: 'completion'"),
        ({}, "messages", "missing field: 'messages'"),
        ({"instruction": "a", "output": ""}, "alpaca", "empty answer"),
        ({"instruction": "a", "output": " \n"}, "alpaca", "empty answer"),
        ({"instruction": "", "output": "b"}, "alpaca", "empty instruction"),
        ({"instruction": " ", "input": "x", "output": "b"}, "alpaca", "empty instruction"),
        (
            {"instruction": 3, "output": "b"},
            "alpaca",
            "wrong type: field 'instruction' is a number",
        ),
        ({"instruction": "a", "output": None}, "alpaca", "wrong type: field 'output' is null"),
        (
            {"instruction": "a", "output": ["b", 1]},
            "alpaca",
            "wrong type: field 'output' is a list",
        ),
        ({"instruction": "a", "output": {"x": 1}}, "alpaca", "is an object, not text"),
        ({"instruction": "a", "input": 7, "output": "b"}, "alpaca", "field 'input' is a number"),
        ({"question": "a", "answers": []}, "qa", "empty answer"),
        ({"messages": "a"}, "messages", "wrong type: field 'messages' is text"),
        ({"messages": []}, "messages", "an empty list"),
        ({"messages": None}, "messages", "is null"),
        ({"messages": ["a"]}, "messages", "a turn of 'messages' is text"),
        ({"messages": [USER]}, "messages", "turn order broken: user at the end"),
        ({"messages": [REPLY]}, "messages", "turn order broken: assistant after start"),
        ({"messages": [USER, USER, REPLY]}, "messages", "turn order broken: user after user"),
        ({"messages": [USER, REPLY, REPLY]}, "messages", "assistant after assistant"),
        ({"messages": [USER, {"role": "system", "content": "s"}]}, "messages", "system after user"),
        ({"messages": [{"role": "tool", "content": "x"}, REPLY]}, "messages", "tool after start"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages", "unknown role: nobody"),
        ({"messages": [{"content": "x"}]}, "messages", "unknown role: None"),
        (
            {"messages": [{"role": "user", "content": 5}, REPLY]},
            "messages",
            "'content' is a number",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}, REPLY]},
            "messages",
            "content that is not text",
        ),
        ({"messages": [USER, REPLY], "tools": "{"}, "messages", "bad JSON: in field 'tools'"),
        ("text", "alpaca", "wrong type: the row is text, not an object"),
        (None, "alpaca", "the row is null"),
        ([1], "alpaca", "the row is a list"),
    ],
)
def test_a_bad_record_has_a_reason(record, name, reason):
    with pytest.raises(BadRecord) as caught:
        read_record(record, FORMATS[name])
    assert reason in str(caught.value)


def test_no_known_shape():
    assert find_format({"text": "a"}) is None
    assert find_format({"instruction": "a"}) is None


@pytest.mark.parametrize(
    ("call", "reason"), [("", "empty function_call"), ("f(1)", "bad JSON: in field")]
)
def test_a_function_call_must_be_json(call, reason):
    turns = [{"from": "human", "value": "a"}, {"from": "function_call", "value": call}]
    with pytest.raises(BadRecord, match=reason):
        read_record({"conversations": turns}, FORMATS["sharegpt"])
