"""What ends an answer, and that its tokens are what they were and the end beside them."""

import numpy as np
import pytest
from tamis.errors import ModelError
from tamis.stages.endings import Endings
from tamis.stages.templates import Turn
from tamis.stages.tokenize import Encoder, scored_rows
from tamis.tests.tiny import conversation, make_sentencepiece_like, make_tokenizer

TULU = (
    "{% if turn %}\n{% endif %}<|user|>\n{{ instruction }}"
    "{% if input %}\n{{ input }}{% endif %}\n<|assistant|>\n"
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return make_tokenizer(tmp_path_factory.mktemp("plain"), bos=False)


@pytest.fixture(scope="module")
def like_llama(tmp_path_factory):
    return make_sentencepiece_like(tmp_path_factory.mktemp("like_llama"))


def two_turns():
    row = conversation("Hi", "hello world")
    row["messages"] += [
        {"role": "user", "content": "Sort 3 1 2"},
        {"role": "assistant", "content": "1 2 3"},
    ]
    return row


def encode(tokenizer, row, template="none", window=512, ends=True):
    (found,) = Encoder(tokenizer, template, "exact", window, ends).encode([row])
    return found


@pytest.mark.parametrize("which", ["plain", "like_llama"])
@pytest.mark.parametrize("template", ["none", "alpaca", "vicuna", TULU])
def test_the_scored_positions_are_those_of_the_answer_and_the_end(which, template, request):
    tokenizer = request.getfixturevalue(which)
    row = conversation("Name the capital of France.", "The capital of France is Paris.")
    before, after = (encode(tokenizer, row, template, ends=ends) for ends in (False, True))
    assert after.ids == [*before.ids, tokenizer.eos_token_id]
    (_, (without,)), (_, (within,)) = scored_rows([before]), scored_rows([after])
    assert within.tolist() == [*without.tolist(), len(before.ids)]
    assert after.ids[within[-1]] == tokenizer.eos_token_id
    assert after.status == "ok"


def test_by_hand():
    """Text in, text out; the end of the first answer stands in the context of the second turn."""

    class Tokenizer:
        eos_token, name_or_path = "</s>", "x"
        all_special_ids, all_special_tokens, added_tokens_decoder = [1, 2], ["</s>", "<e>"], {}

    def ended(*turns):
        return [(turn.context, turn.answer) for turn in Endings(Tokenizer()).of(list(turns))]

    assert ended(Turn("a\n", "", "b"), Turn("\nc\n", "", "d")) == [
        ("a\n", "b</s>"),
        ("\nc\n", "d</s>"),
    ]
    assert ended(Turn("a", "", "b"), Turn("</s>c", "", "d")) == [("a", "b</s>"), ("c", "d</s>")]
    chat = [Turn("a", "", "b", " <e>\n"), Turn(" <e>\nc", "", "d", " <e>\n")]
    assert ended(*chat) == [("a", "b <e>"), ("\nc", "d <e>")]
    # its end stands only where the conversation ends: it is what teaches to stop, all the same
    assert ended(Turn("a", "", "b", "<e>"), Turn("\nc", "", "d", "<e>")) == [
        ("a", "b<e>"),
        ("\nc", "d<e>"),
    ]
    assert ended(Turn("a", "", "b", "\nUSER: <e>")) == [("a", "b</s>")]  # no end of an answer
    # a template that always ends with the beginning of the next answer has no end of its own
    assert ended(Turn("<e>bot\n", "<e>bot\n", "b", "\n<e>bot\n")) == [("<e>bot\n", "b</s>")]
    assert ended(Turn("a", "", "")) == [("a", "")]


@pytest.mark.parametrize("which", ["plain", "like_llama"])
def test_every_answer_of_a_conversation_has_its_end(which, request):
    tokenizer = request.getfixturevalue(which)
    found = encode(tokenizer, two_turns(), TULU)
    text = (
        "<|user|>\nHi\n<|assistant|>\nhello world{0}\n<|user|>\nSort 3 1 2\n<|assistant|>\n1 2 3{0}"
    )
    assert found.ids == tokenizer(text.format(tokenizer.eos_token))["input_ids"]
    assert [found.ids[last - 1] for _, last in found.answers] == [tokenizer.eos_token_id] * 2
    (_, (positions,)) = scored_rows([found])
    assert (np.array(found.ids)[positions] == tokenizer.eos_token_id).sum() == 2


def test_a_chat_template_has_its_own(plain):
    """`<|im_end|>` is scored, nothing is added, and the sequence ends with it."""
    before, after = (encode(plain, two_turns(), "chat", ends=ends) for ends in (False, True))
    end = plain.convert_tokens_to_ids("<|im_end|>")
    assert after.ids == [*before.ids, end]
    assert [after.ids[last - 1] for _, last in after.answers] == [end] * 2
    assert [(a, b - 1) for a, b in after.answers] == before.answers
    assert plain.eos_token_id not in after.ids


def test_a_chat_template_without_an_end_gets_the_eos(tmp_path):
    tokenizer = make_tokenizer(tmp_path, bos=False)
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    found = encode(tokenizer, two_turns(), "chat")
    text = "user: Hi\nassistant: hello world<|end|>\nuser: Sort 3 1 2\nassistant: 1 2 3<|end|>"
    assert found.ids == tokenizer(text)["input_ids"]


def test_a_cut_row_has_none(plain):
    row = conversation("Name a word.", "word " * 20)
    whole = encode(plain, row)
    n = len(whole.ids)
    assert whole.ids[-1] == plain.eos_token_id
    for window in (n - 1, n - 5):
        cut = encode(plain, row, window=window)
        assert (cut.status, cut.ids) == ("truncated", whole.ids[:window])
        (_, (positions,)) = scored_rows([cut])
        assert plain.eos_token_id not in np.array(cut.ids)[positions]
    assert encode(plain, row, window=n).status == "ok"
    before = encode(plain, row, window=n - 5, ends=False)
    assert (before.ids, before.answers) == (cut.ids, cut.answers)


def test_an_empty_answer_stays_empty(plain):
    assert encode(plain, conversation("empty", "")).status == "no_answer_tokens"


def test_a_tokenizer_without_an_end(tmp_path):
    tokenizer = make_tokenizer(tmp_path, bos=False)
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match=r"no end-of-sequence token .*; set end_token: false"):
        Encoder(tokenizer, "none", "exact", 512, True).check("mine")
    Encoder(tokenizer, "none", "exact", 512).check("mine")
    Encoder(tokenizer, "chat", "exact", 512, True).check("mine")  # <|im_end|> is enough


def test_a_tokenizer_that_cuts_its_end_into_pieces(tmp_path):
    tokenizer = make_tokenizer(tmp_path, bos=False)
    tokenizer.split_special_tokens = True
    with pytest.raises(ModelError, match=r"'mine': .* does not read .*'<\|end\|>' as one token"):
        Encoder(tokenizer, "none", "exact", 512, True).check("mine")
