import pyarrow as pa
from tamis.pipeline.report.texts import instruction_of, last_answer_of, lengths


def said(*turns):
    names = ("role", "content")
    return [dict(zip(names, turn, strict=True)) | {"tool_calls": None} for turn in turns]


ONE = said(("user", "Q"), ("assistant", "Answer"))
TWO = said(("system", "S"), ("user", "Q"), ("assistant", "A"), ("user", "R"), ("assistant", None))


def test_instruction_and_answer():
    assert (instruction_of(ONE), last_answer_of(ONE)) == ("Q", "Answer")
    assert instruction_of(TWO) == "system: S\n\nuser: Q\n\nassistant: A\n\nuser: R"
    assert last_answer_of(TWO) == "" == last_answer_of([])


def test_lengths_of_all_answers():
    column = pa.chunked_array([[ONE, TWO], [said(("assistant", "ab"), ("assistant", "é🙂c"))]])
    assert lengths(column).tolist() == [6, 1, 5]
    assert lengths(column, "user").tolist() == [1, 2, 0]
