import pytest
from tamis.errors import ModelError
from tamis.stages.tokenize import (
    Encoded,
    Encoder,
    compared,
    mismatched,
    scored,
    scored_rows,
    token_texts,
)
from tamis.tests.tiny import conversation, make_sentencepiece_like, make_tokenizer
from transformers import AutoTokenizer


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return make_tokenizer(tmp_path_factory.mktemp("plain"), bos=False)


@pytest.fixture(scope="module")
def with_bos(tmp_path_factory):
    return make_tokenizer(tmp_path_factory.mktemp("bos"), bos=True)


@pytest.fixture(scope="module")
def like_llama(tmp_path_factory):
    return make_sentencepiece_like(tmp_path_factory.mktemp("sp"))


ROWS = [
    conversation("Name the capital of France.", "The capital of France is Paris."),
    conversation("Sort the numbers", "1 2 3", "3 1 2"),
    conversation("naïve café", "Grüße, 世界! 🙂"),
    conversation("two\n", "\n\nIt is forty-two."),
    conversation("x", "y"),
    conversation("a ", " b "),
]


def text_of(tokenizer, ids):
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("template", ["none", "alpaca", "vicuna"])
@pytest.mark.parametrize("which", ["plain", "with_bos"])
def test_exact_answers_hold_every_character_of_the_answer(which, template, request):
    tokenizer = request.getfixturevalue(which)
    encoder = Encoder(tokenizer, template, "exact", 512)
    for row, encoded in zip(ROWS, encoder.encode(ROWS), strict=True):
        answer = row["messages"][-1]["content"]
        assert encoded.status == "ok"
        ((first, last),) = encoded.answers
        assert last == len(encoded.ids)
        held = text_of(tokenizer, encoded.ids[first:last])
        assert held.endswith(answer)
        assert len(held) - len(answer) < 4  # a token may reach back over the boundary
        assert not text_of(tokenizer, encoded.ids[:first]).endswith(answer)


def test_exact_scores_the_same_tokens_in_both_passes(with_bos):
    for encoded in Encoder(with_bos, "none", "exact", 512).encode(ROWS):
        (first, last), (alone, start) = encoded.answers[0], encoded.alone[0]
        assert alone[start:] == encoded.ids[first:last]
        assert alone[:start] == [with_bos.bos_token_id]


@pytest.mark.parametrize("tokenisation", ["exact", "official"])
@pytest.mark.parametrize("which", ["plain", "with_bos"])
def test_compared_tokens_are_those_that_both_passes_score(which, tokenisation, request):
    encoder = Encoder(request.getfixturevalue(which), "none", tokenisation, 24)
    for encoded in encoder.encode(ROWS):
        for (first, last), (ids, start), (low, high) in zip(
            encoded.answers, encoded.alone, compared(encoded, 24), strict=True
        ):
            alone = len(scored(start, min(len(ids), start + 24 - first)))
            assert (low, high) == (last - min(last - first, alone), last)
    assert scored(0, 4).tolist() == [1, 2, 3]


def test_a_merge_at_the_boundary_and_a_cut_leave_different_tokens():
    given = [1, 2, 3, 10, 11, 12, 13]
    shifted = Encoded("truncated", given, [(3, 7)], [([9, 10, 11, 12], 0)])
    assert compared(shifted, 7) == [(4, 7)]
    assert mismatched(shifted, 7)  # 12, 13 beside 11, 12
    same = Encoded("truncated", given, [(3, 7)], [([10, 11, 12, 13], 0)])
    assert not mismatched(same, 7)
    merged = Encoded("ok", given, [(3, 7)], [([8, 9, 11, 12, 13], 0)])
    assert not mismatched(merged, 50)  # two tokens at the boundary may differ


def test_texts_of_tokens_make_the_text(plain):
    for encoded in Encoder(plain, "none", "exact", 512).encode(ROWS):
        ((first, last),) = encoded.answers
        texts = token_texts(plain, encoded.ids, first, last)
        assert len(texts) == last - first
        assert plain.decode(encoded.ids).endswith("".join(texts))
        assert not any("\N{REPLACEMENT CHARACTER}" in text for text in texts)


def test_bos_is_what_the_tokenizer_adds(plain, with_bos, like_llama):
    assert Encoder(plain, "none", "exact", 9).prefix == []
    assert Encoder(with_bos, "none", "exact", 9).prefix == [with_bos.bos_token_id]
    assert Encoder(like_llama, "none", "exact", 9).prefix == [like_llama.bos_token_id]
    assert Encoder(with_bos, "chat", "exact", 9).prefix == []


@pytest.mark.parametrize("which", ["plain", "with_bos", "like_llama"])
def test_ids_are_those_of_one_tokenisation(which, request):
    tokenizer = request.getfixturevalue(which)
    for tokenisation in ("exact", "official"):
        encoded = Encoder(tokenizer, "none", tokenisation, 512).encode(ROWS[:1])[0]
        whole = "Name the capital of France.\nThe capital of France is Paris."
        assert encoded.ids == tokenizer(whole)["input_ids"]


def test_official_cuts_where_the_text_before_ends_by_itself(plain):
    for row, encoded in zip(
        ROWS, Encoder(plain, "none", "official", 512).encode(ROWS), strict=True
    ):
        before = "\n".join([row["messages"][0]["content"], ""])
        assert encoded.answers[0][0] == len(plain(before)["input_ids"])
        assert encoded.alone == [(plain(row["messages"][1]["content"])["input_ids"], 0)]


def test_official_keeps_the_header_alone(with_bos):
    encoded = Encoder(with_bos, "alpaca", "official", 512).encode(ROWS[:1])[0]
    ids, start = encoded.alone[0]
    assert ids == with_bos("### Response:The capital of France is Paris.")["input_ids"]
    assert start == len(with_bos("### Response:")["input_ids"])


def test_newlines_that_merge_across_the_boundary(plain):
    """The answer's own newline shares a token with the instruction's: exact keeps it."""
    row = conversation("12 + 30 = 42", "\n\nIt is forty-two.")
    exact = Encoder(plain, "none", "exact", 512).encode([row])[0]
    official = Encoder(plain, "none", "official", 512).encode([row])[0]
    assert exact.ids == official.ids
    assert "\n\n" in text_of(plain, exact.ids[exact.answers[0][0] : exact.answers[0][0] + 1])
    assert official.answers[0][0] == exact.answers[0][0] + 1


class TestCuts:
    row = conversation("Name the capital of France.", "The capital of France is Paris. " * 4)

    def lengths(self, tokenizer, tokenisation, window):
        encoded = Encoder(tokenizer, "none", tokenisation, window).encode([self.row])[0]
        n_instruction = len(tokenizer("Name the capital of France.\n")["input_ids"])
        return encoded, n_instruction

    @pytest.mark.parametrize("tokenisation", ["exact", "official"])
    def test_both_passes_keep_the_same_answer_tokens(self, with_bos, tokenisation):
        encoded, n = self.lengths(with_bos, tokenisation, 20)
        assert encoded.status == "truncated"
        assert len(encoded.ids) == 20
        assert encoded.answers == [(n, 20)]
        assert len(encoded.alone[0][0]) == 1 + 20 - n  # BOS and the same tokens
        assert encoded.answer_tokens > 20 - n

    def test_without_bos_official_leaves_room_for_the_token_without_a_loss(self, plain):
        encoded, n = self.lengths(plain, "official", 20)
        assert len(encoded.alone[0][0]) == 20 - n + 1
        exact, n = self.lengths(plain, "exact", 20)
        assert len(exact.alone[0][0]) == 20 - n

    @pytest.mark.parametrize("tokenisation", ["exact", "official"])
    def test_an_instruction_over_the_window_has_a_status(self, plain, tokenisation):
        encoded, n = self.lengths(plain, tokenisation, 4)
        assert n >= 4
        assert encoded.status == "instruction_too_long"
        assert encoded.ids == encoded.answers == encoded.alone == []
        assert encoded.instruction_tokens == n


def turns_row():
    row = conversation("Hi", "hello world")
    row["messages"] += [
        {"role": "user", "content": "Sort 3 1 2"},
        {"role": "assistant", "content": "1 2 3"},
    ]
    return row


@pytest.mark.parametrize("template", ["none", "alpaca", "vicuna", "chat"])
@pytest.mark.parametrize("tokenisation", ["exact", "official"])
def test_every_turn_is_an_answer(plain, template, tokenisation):
    encoded = Encoder(plain, template, tokenisation, 512).encode([turns_row()])[0]
    texts = [text_of(plain, encoded.ids[first:last]) for first, last in encoded.answers]
    assert texts == ["hello world", "1 2 3"]
    assert encoded.answer_tokens == sum(last - first for first, last in encoded.answers)
    assert [text_of(plain, ids[start:]) for ids, start in encoded.alone] == texts


def test_later_turns_outside_the_window_are_left_out(plain):
    whole = Encoder(plain, "none", "exact", 512).encode([turns_row()])[0]
    encoded = Encoder(plain, "none", "exact", whole.answers[1][0]).encode([turns_row()])[0]
    assert encoded.status == "truncated"
    assert encoded.answers == whole.answers[:1]
    assert len(encoded.alone) == 1


def test_a_template_mismatch_is_a_status_and_the_rest_goes_on(plain, tmp_path):
    tokenizer = make_tokenizer(tmp_path, bos=False)
    tokenizer.chat_template = (
        "{% if messages | length > 2 %}{{ raise_exception('one turn') }}{% endif %}"
        + tokenizer.chat_template
    )
    found = Encoder(tokenizer, "chat", "exact", 512).encode([turns_row(), ROWS[0]])
    assert [encoded.status for encoded in found] == ["template_mismatch", "ok"]


def test_exact_needs_offsets(plain):
    class Slow:
        is_fast = False

    with pytest.raises(ModelError, match="official"):
        Encoder(Slow(), "none", "exact", 512)


def test_no_rows(plain):
    for tokenisation in ("exact", "official"):
        assert Encoder(plain, "none", tokenisation, 9).encode([]) == []


def test_a_template_that_gives_no_answer_is_found_before_any_row(gpt2):
    tokenizer = AutoTokenizer.from_pretrained(gpt2)
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match=r"template 'chat' give no answer .*template_mismatch"):
        Encoder(tokenizer, "chat", "exact", 512).check("mine")
    Encoder(tokenizer, "alpaca", "exact", 512).check("mine")


def test_scored_rows_leave_out_those_without_a_loss():
    """The first token of a sequence has none; several answers count together."""
    rows = [
        Encoded("ok", [1, 2, 3, 4, 5], [(0, 2), (3, 5)]),
        Encoded("no_answer_tokens"),
        Encoded("ok", [1], [(0, 1)]),
        Encoded("ok", [1, 2], [(1, 2)]),
    ]
    places, positions = scored_rows(rows)
    assert places.tolist() == [0, 3]
    assert [some.tolist() for some in positions] == [[1, 3, 4], [1]]
    assert scored_rows([])[0].dtype == "int64"
