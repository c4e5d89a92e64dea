import json

import pytest
from tamis.errors import ConfigError
from tamis.stages.templates import TemplateMismatch, answer_text, check_template, turns
from tamis.tests.tiny import conversation, make_tokenizer

TWO_TURNS = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
        {"role": "assistant", "content": " See you "},
    ],
    "tools": None,
    "input_start": None,
}


def text(row, template, tokenizer=None):
    return "".join(turn.context + turn.answer for turn in turns(row, template, tokenizer))


def test_none_is_instruction_newline_input_newline():
    assert text(conversation("Sort.", "1 2"), "none") == "Sort.\n1 2"
    assert text(conversation("Sort.", "1 2", "2 1"), "none") == "Sort.\n2 1\n1 2"
    assert text(TWO_TURNS, "none") == "Be brief.\nHi\nHello\nBye\n See you "


def test_alpaca_as_published():
    assert text(conversation("Sort.", "1 2", "2 1"), "alpaca") == (
        "Below is an instruction that describes a task, paired with an input that provides further "
        "context. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nSort.\n\n### Input:\n2 1\n\n### Response:1 2"
    )
    assert text(conversation("Sort.", "1 2"), "alpaca") == (
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\nSort.\n\n### Response:1 2"
    )


def test_vicuna_as_published():
    preamble = (
        "A chat between a curious user and an artificial intelligence assistant. The assistant "
        "gives helpful, detailed, and polite answers to the user's questions. "
    )
    row = conversation("Sort.", "1 2", "2 1")
    assert text(row, "vicuna") == f"{preamble}USER: Sort.\nInput:\n2 1 ASSISTANT:1 2"
    assert text(conversation("Sort.", "1 2"), "vicuna") == f"{preamble}USER: Sort. ASSISTANT:1 2"


def test_headers_stay_when_an_answer_stands_alone():
    for template, header in (("none", ""), ("alpaca", "### Response:"), ("vicuna", "ASSISTANT:")):
        for turn in turns(TWO_TURNS, template):
            assert turn.header == header
            assert turn.context.endswith(header)


def test_a_jinja_string():
    template = "{% if turn == 0 %}{{ system }}{% endif %}Q: {{ instruction }} {{ input }}\nA: "
    row = conversation("Add.", "3", "1 2", system="S ")
    row["input_start"] = len("Add.") + 1
    assert text(row, template) == "S Q: Add. 1 2\nA: 3"


def test_row_text_is_never_a_template():
    assert text(conversation("{{ 7 * 7 }}", "{% x %}"), "none") == "{{ 7 * 7 }}\n{% x %}"


def test_tool_turns():
    row = {
        "messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "", "tool_calls": '[{"name":"get"}]'},
            {"role": "tool", "content": "rain"},
            {"role": "assistant", "content": "It rains."},
        ],
        "tools": None,
        "input_start": None,
    }
    assert text(row, "none") == 'Weather?\n[{"name":"get"}]\nrain\nIt rains.'
    assert answer_text({"content": "a", "tool_calls": "b"}) == "a\nb"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("chatml", "none, alpaca, vicuna, chat"),
        ("{{ instruction }", "not valid"),
        ("{{ question }}", "question"),
        ("{{ instruction.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_bad_templates_are_named(template, message):
    with pytest.raises(ConfigError, match=message):
        check_template(template)


@pytest.fixture
def tokenizer(tmp_path):
    return make_tokenizer(tmp_path, bos=False)


class TestChat:
    def test_pieces_are_the_rendered_conversation(self, tokenizer):
        whole = tokenizer.apply_chat_template(TWO_TURNS["messages"], tokenize=False)
        found = turns(TWO_TURNS, "chat", tokenizer)
        assert whole == "".join(t.context + t.answer for t in found) + "<|im_end|>\n"
        assert [t.answer for t in found] == ["Hello", "See you"]  # this template strips
        assert {t.header for t in found} == {"<|im_start|>assistant\n"}

    def test_an_answer_that_stands_in_the_header_too(self, tokenizer):
        row = conversation("assistant", "assistant\n<|im_end|>")
        found = turns(row, "chat", tokenizer)
        assert found[0].answer == "assistant\n<|im_end|>"
        assert found[0].context.endswith("<|im_start|>assistant\n")

    def test_tools_reach_the_template(self, tokenizer):
        tokenizer.chat_template = "{{ tools | length }}" + tokenizer.chat_template
        row = conversation("a", "b") | {"tools": json.dumps([{"type": "function"}])}
        assert turns(row, "chat", tokenizer)[0].context.startswith("1<|im_start|>")

    @pytest.mark.parametrize(
        "template",
        [
            "{{ messages[-1].content }}{{ messages[0].content }}",
            "{{ raise_exception('no system') }}",
            "{{ messages | length }}{% for m in messages %}{{ m.content | upper }}{% endfor %}",
        ],
    )
    def test_a_template_that_rewrites_turns_is_a_mismatch(self, tokenizer, template):
        tokenizer.chat_template = template
        with pytest.raises(TemplateMismatch):
            turns(TWO_TURNS, "chat", tokenizer)

    def test_needs_a_tokenizer(self):
        with pytest.raises(ValueError, match="tokenizer"):
            turns(TWO_TURNS, "chat")


@pytest.mark.parametrize("template", ["{{ 1/0 }}", "{{ instruction + 1 }}"])
def test_whatever_a_template_raises_is_a_mistake_in_the_config(template):
    with pytest.raises(ConfigError, match="is not valid"):
        check_template(template)
