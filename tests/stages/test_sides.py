import pyarrow as pa
from tamis.stages.base import ROWS
from tamis.stages.sides import texts_of

BLANK = {"name": None, "tool_calls": None, "tool_call_id": None}


def test_each_answer_and_each_message():
    said = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", None)]
    row = [BLANK | {"role": role, "content": content} for role, content in said]
    row.append(BLANK | {"role": "assistant", "content": "Wait", "tool_calls": '[{"a": 1}]'})
    rows = pa.table({"messages": pa.array([row], ROWS.field("messages").type)})
    assert texts_of(rows, "answer") == [["Hello", 'Wait\n[{"a": 1}]']]
    assert texts_of(rows, "instruction") == [["Hi", ""]]
