import pyarrow as pa
import pytest
from tamis.stages.base import ROWS
from tamis.stages.checks import check_stage
from tamis.stages.signals.length import Length
from tamis.tests.tiny import conversation

TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi there"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Sort 3 1 2"},
    {"role": "assistant", "content": "1 2 3"},
]
TABLE = pa.Table.from_pylist(
    [conversation("Name a city.", "Paris is one."), {"messages": TURNS}],
    schema=pa.schema([ROWS.field("messages")]),
)


def test_counts_of_characters_and_words():
    found = Length()(TABLE, Length().adds.names).to_pylist()
    assert found == [
        {"answer_chars": 13, "answer_words": 3, "instruction_chars": 12, "instruction_words": 3},
        {"answer_chars": 10, "answer_words": 4, "instruction_chars": 27, "instruction_words": 8},
    ]


def test_counts_of_tokens(gpt2):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gpt2)
    found = Length(tokenizer=str(gpt2))(TABLE, ["answer_tokens", "instruction_tokens"])
    expected = [len(tokenizer("Hello")["input_ids"]) + len(tokenizer("1 2 3")["input_ids"])]
    assert found["answer_tokens"].to_pylist()[1:] == expected


def test_tokens_only_with_a_tokenizer(gpt2):
    assert "answer_tokens" not in Length().adds.names
    assert "answer_tokens" in Length(tokenizer=str(gpt2)).adds.names
    assert Length(tokenizer=str(gpt2)).identity()["tokenizer"] != str(gpt2)
    assert Length().identity() == {"tokenizer": None}


@pytest.mark.parametrize("has_tokenizer", [False, True])
def test_contract(has_tokenizer, gpt2):
    check_stage(Length(tokenizer=str(gpt2) if has_tokenizer else None), TABLE)
