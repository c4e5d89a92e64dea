"""Worked by hand; the definitions are those of datatrove's code."""

import pytest
from tamis.stages.text_facts import Text, duplicates, repeated_chars, share


def test_words_are_runs_of_letters_and_single_signs():
    assert Text("Don't stop, x_1 = 2.5!").words == [
        "Don't", "stop", ",", "x_1", "=", "2", ".", "5", "!",
    ]  # fmt: skip
    assert Text("Don't stop, x_1 = 2.5!").real_words == ["Don't", "stop", "x_1", "2", "5"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("日本語です。", ["日", "本", "語", "で", "す", "。"]),
        ("ภาษา", ["ภ", "า", "ษ", "า"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("über naïve", ["über", "naïve"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),  # accents as signs of their own
        ("مَرْحَبًا بك", ["مَرْحَبًا", "بك"]),
        ("한국어 입니다", ["한국어", "입니다"]),
    ],
)
def test_words_of_other_scripts(text, words):
    assert Text(text).words == words


def test_duplicates_count_what_stood_there_before():
    assert duplicates(["ab", "c", "ab", "ab", ""]) == (2, 4)


def test_duplicate_lines_and_paragraphs():
    text = Text("aa\nbb\naa\n\ncc\naa\n\n")  # lines aa bb aa cc aa "", 17 characters
    assert len(text.text) == 17
    assert text.duplicate_lines == (2 / 6, 4 / 17)
    text = Text("aa\n\nbb\n\n\naa")  # the paragraphs of the stripped text
    assert text.duplicate_paragraphs == (1 / 3, 2 / 11)


def test_top_n_gram():
    text = Text("a bb a bb c")  # "a bb" twice: 4 characters each, of 11
    assert text.top_n_gram(2) == pytest.approx(8 / 11)
    assert text.top_n_gram(3) == pytest.approx(6 / 11)  # all once; the first is "a bb a"
    assert text.top_n_gram(6) == 0


def test_duplicate_n_grams_go_left_to_right_and_on_behind_a_repeated_one():
    words = ["a", "b", "c", "a", "b", "c", "a", "b"]
    # abc bca cab, then abc again: 3 characters, and the search goes on at "a b", too short
    assert repeated_chars(words, 3) == 3
    # ab bc ca, ab again: on at c: "ca" again, "b" is left
    assert repeated_chars(words, 2) == 4
    text = Text("one two three four five one two three four five")
    assert text.duplicate_n_grams(5) == pytest.approx(19 / 47)
    assert text.duplicate_n_grams(6) == 0


def test_longer_runs_are_looked_for_where_five_words_repeat():
    ten = "a b c d e f g h i j"
    assert Text(f"{ten} {ten}").duplicate_n_grams(10) == pytest.approx(10 / 39)


def test_share_of_nothing():
    assert share(0, 0) == 0
