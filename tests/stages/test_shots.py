import pytest
from tamis.errors import DataError
from tamis.stages.formats import Conversation
from tamis.stages.ingest import RawPart, ingest, rows_table, sample_id
from tamis.stages.shots import with_shots
from tamis.stages.source import Source, Target
from tamis.stages.templates import ALPACA, compiled, turns
from tamis.tests.tiny import write_jsonl

ROWS = [
    {"instruction": "Add.", "input": "1 + 1", "output": "2", "kind": "sum"},
    {"instruction": "Name a word.", "input": "", "output": "house", "kind": "word"},
    {"instruction": "Add.", "input": "2 + 3", "output": "5", "kind": "sum"},
    {"instruction": "What is 4 + 4?", "input": "", "output": "8", "kind": "sum"},
    {"instruction": "Name another.", "input": "", "output": "tree", "kind": "word"},
]


def read(folder, rows=ROWS, part_rows=2, max_chars=1000, **fields):
    path = write_jsonl(folder / "t.jsonl", rows)
    target = Target(name="few", path=str(path), **fields)
    parts = ingest([(target, "")], part_rows=part_rows, max_chars=1000)
    return list(with_shots(parts, [target], max_chars))


def questions(parts):
    return [row["messages"][0]["content"] for part in parts for row in part.rows]


def test_by_hand(tmp_path):
    """The first others of the subtask in order, also from other parts."""
    assert questions(read(tmp_path, subtask="data.kind", shots=1)) == [
        "Add.\n2 + 3\n5\n\nAdd.\n1 + 1",
        "Name another.\ntree\n\nName a word.",
        "Add.\n1 + 1\n2\n\nAdd.\n2 + 3",
        "Add.\n1 + 1\n2\n\nWhat is 4 + 4?",
        "Name a word.\nhouse\n\nName another.",
    ]
    sums = [ROWS[0], *ROWS[2:4]]
    assert questions(read(tmp_path, sums, subtask="data.kind", shots=2)) == [
        "Add.\n2 + 3\n5\n\nWhat is 4 + 4?\n8\n\nAdd.\n1 + 1",
        "Add.\n1 + 1\n2\n\nWhat is 4 + 4?\n8\n\nAdd.\n2 + 3",
        "Add.\n1 + 1\n2\n\nAdd.\n2 + 3\n5\n\nWhat is 4 + 4?",
    ]
    assert questions(read(tmp_path, shots=4))[4] == (
        "Add.\n1 + 1\n2\n\nName a word.\nhouse\n\nAdd.\n2 + 3\n5\n\nWhat is 4 + 4?\n8\n\n"
        "Name another."
    )


def test_only_the_own_answer_has_a_loss_and_the_input_stays_one(tmp_path):
    row = read(tmp_path, subtask="data.kind", shots=1)[0].rows[0]
    assert row["messages"][0]["content"][row["input_start"] :] == "1 + 1"
    (turn,) = turns(row, "alpaca")
    asked = {"instruction": "Add.\n2 + 3\n5\n\nAdd.", "input": "1 + 1", "system": "", "turn": 0}
    assert turn.context == compiled(ALPACA).render(**asked)
    assert turn.answer == "2"
    none = read(tmp_path, subtask="data.kind", shots=1)[1].rows[1]
    assert none["input_start"] is None


def test_the_content_is_another_and_nothing_else(tmp_path):
    plain, asked = (read(tmp_path, subtask="data.kind", shots=n) for n in (0, 1))
    assert questions(plain)[0] == "Add.\n1 + 1"
    before_all, after_all = (
        [row for part in parts for row in part.rows] for parts in (plain, asked)
    )
    for before, after in zip(before_all, after_all, strict=True):
        assert before["sample_id"] != after["sample_id"]
        whole = Conversation(after["messages"], after["tools"], after["input_start"])
        assert after["sample_id"] == sample_id(whole)
        for name in ("position", "source", "other", "tools"):
            assert before[name] == after[name]
    assert rows_table(asked[0]).schema == rows_table(plain[0]).schema


def test_system_messages_of_examples_are_left_out(tmp_path):
    rows = [row | {"system": f"Be {i}."} for i, row in enumerate(ROWS[2:4])]
    (part,) = read(tmp_path, rows, shots=1)
    assert [message["content"] for message in part.rows[0]["messages"]] == [
        "Be 0.",
        "What is 4 + 4?\n8\n\nAdd.\n2 + 3",
        "5",
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"subtask": "data.kind", "shots": 2},
            r"targets\.few\.shots is 2, but subtask 'word' has 2 rows; .* one more than shots, 3",
        ),
        ({"shots": 5}, r"targets\.few\.shots is 5, but the target has 5 rows; .*, 6"),
    ],
)
def test_too_few_rows(tmp_path, fields, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, **fields)


@pytest.mark.parametrize(
    ("messages", "shape"),
    [
        (["user", "assistant", "user", "assistant"], "user, assistant, user, assistant"),
        (["user", "assistant", "tool", "assistant"], "user, assistant, tool, assistant"),
    ],
)
def test_other_conversations(tmp_path, messages, shape):
    call = [{"function": {"name": "f", "arguments": "{}"}}]
    talk = [{"role": role, "content": f"words {i}"} for i, role in enumerate(messages)]
    if "tool" in messages:
        talk[1]["tool_calls"] = call
    rows = [{"messages": talk[:2]}, {"messages": talk}]
    rows[0]["messages"] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    with pytest.raises(DataError, match=rf"targets\.few: row 1 is {shape}, but shots are for"):
        read(tmp_path, rows, shots=1)


def test_what_has_no_shots_passes_one_part_at_a_time(tmp_path):
    def endless():
        while True:
            yield RawPart(0)

    for source in (Source(name="a", path="p"), Target(name="a", path="p")):
        assert next(with_shots(endless(), [source], 1000)).n == 0


def test_a_row_that_cannot_be_read_is_left_to_the_reader(tmp_path):
    parts = read(tmp_path, [*ROWS[:1], {"instruction": "x", "output": ""}], shots=3)
    assert len(parts[0].rejected) == 1
    assert questions(parts) == ["Add.\n1 + 1"]


def test_data_has_none():
    with pytest.raises(ValueError, match="shots"):
        Source(name="a", path="p", shots=1)
    with pytest.raises(ValueError, match="shots"):
        Target(name="a", path="p", shots=-1)


def test_a_row_that_becomes_too_long(tmp_path):
    assert len(read(tmp_path, shots=4, max_chars=110)) == 3
    with pytest.raises(DataError, match=r"row \d has \d+ characters with its shots, more than"):
        read(tmp_path, shots=4, max_chars=60)
