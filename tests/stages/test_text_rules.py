"""Each rule at its boundary, worked by hand; bounds are the published ones where there are any.

Of each pair the first text lies on the bound, or on its good side, and passes; the second breaks
it.
"""

import pytest
from tamis.stages.text_facts import Text
from tamis.stages.text_rules import RULES, WORDS, c4_keeps

TEN = "aaaaaaaaa"  # nine letters


def lines(*counted):
    """Lines, each so many times in a row."""
    return "\n".join(line for line, n in counted for _ in range(n))


def words(n, word="word"):
    return " ".join([word] * n)


def numbered(n):
    """Different words of three characters."""
    return " ".join(f"{i:03d}" for i in range(n))


BOUNDARIES = {
    # Gopher, repetition: 3 of 10 lines stood there before; 4 of 10
    "duplicate_lines": (0.3, lines(*((f"l{i}", 1) for i in range(6)), ("x", 4)),
                        lines(*((f"l{i}", 1) for i in range(5)), ("x", 5))),
    "duplicate_paragraphs": (0.3, "\n\n".join("abcdefg" + "aaa"), "\n\n".join("abcdef" + "aaaa")),
    # 4 of 20 characters; 5 of 20
    "duplicate_line_chars": (0.2, "aaaa\naaaa\nbbbbbbbbbb", "aaaaa\naaaaa\nbbbbbbbb"),
    "duplicate_paragraph_chars": (0.2, "aaaa\n\naaaa\n\nbbbbbbbb", "aaaaa\n\naaaaa\n\nbbbbbb"),
    # the first of equally frequent pairs has 3 characters, of 15; of 14
    "top_2_gram": (0.2, "a b ccccc ddddd", "a b ccccc dddd"),
    # 5 characters of 28 are .179; of 27 .185
    "top_3_gram": (0.18, "a b c " + "d" * 11 + " " + "e" * 10,
                   "a b c " + "d" * 10 + " " + "e" * 10),
    # 8 of 50 are .16; of 49 .163
    "top_4_gram": (0.16, "a b c dd " + "e" * 20 + " " + "f" * 20,
                   "a b c dd " + "e" * 20 + " " + "f" * 19),
    "min_words": (50, numbered(50), numbered(49) + " , . !"),
    "max_words": (100_000, words(100_000, "w"), words(100_001, "w")),
    "min_mean_word": (3, "aa bbbb", "aa bbb"),
    "max_mean_word": (10, f"{TEN} {TEN}aa", f"{TEN}a {TEN}aa"),
    "hashes": (0.1, "# " + numbered(9), "# " + numbered(8)),
    # an ellipsis of three dots is three signs: 1 of 10; 1 of 9
    "ellipses": (0.1, numbered(7) + "...", numbered(6) + "..."),
    "bullet_lines": (0.9, lines(("- a", 5), ("\u2022 b", 4), ("c", 1)), lines(("- a", 10))),
    "ellipsis_lines": (0.3, lines(("a...", 2), ("b\u2026 ", 1), ("c", 7)),
                       lines(("a...", 4), ("c", 6))),
    "alphabetic_words": (0.8, "a b c d 5", "a b c 5"),
    "stop_words": (2, "the cat and", "the the cat"),
    # FineWeb: 3 of 25 lines; 2 of 25
    "punctuated_lines": (0.12, lines(("a.", 3), ("b", 22)), lines(("a.", 2), ("b", 23))),
    "short_lines": (0.67, lines(("a" * 30, 67), ("b" * 31, 33)),
                    lines(("a" * 30, 68), ("b" * 31, 32))),
    # 1 of 100 characters, line breaks not counted; 1 of 99
    "repeated_line_chars": (0.01, "a\na\n" + "b" * 98, "a\na\n" + "b" * 97),
    # 3 line breaks by 10 words; by 9
    "line_breaks": (0.3, numbered(10) + "\n\n\n", numbered(9) + "\n\n\n"),
    # C4
    "sentences": (5, "One two three. Four five six! Is it seven? \"Eight.\"\nNine ten eleven.",
                  "One two three. Four five six! Is it seven?\nNine ten eleven.\nOnly two."),
    "curly_brackets": (0, "f(x)", "f{x}"),
    "lorem_ipsum": (0, "Lorem and ipsum", "He wrote: Lorem Ipsum dolor"),
    # ours
    "min_characters": (1, ".", " \n\t"),
    "unfinished": (7, "Once this is a line with seven", "Once this is a line of eight words"),
}  # fmt: skip


def repeated(n, bound, chars_more):
    """Ten words said twice, and one long word behind them, that many characters more or fewer.

    Runs of n repeat all of their words but those left over: the largest multiple of n up to 10.
    """
    ten = "a b c d e f g h i j"
    again = 10 // n * n
    length = round(again / bound)
    filler = length - 2 * len(ten) - 2 + chars_more
    return f"{ten} {ten} {'x' * filler}"


for n, bound in zip(range(5, 11), (0.15, 0.14, 0.13, 0.12, 0.11, 0.10), strict=True):
    BOUNDARIES[f"duplicate_{n}_grams"] = (bound, repeated(n, bound, 1), repeated(n, bound, -1))


@pytest.mark.parametrize("name", BOUNDARIES)
def test_boundary(name):
    bound, good, bad = BOUNDARIES[name]
    rule = RULES[name]
    assert not rule.breaks(rule.measure(Text(good)), bound), rule.measure(Text(good))
    assert rule.breaks(rule.measure(Text(bad)), bound), rule.measure(Text(bad))


def test_every_rule_has_a_boundary_or_a_test_of_its_own():
    own = {"mojibake", "percent_escapes", "mixed_characters", "letter_pairs"}
    assert set(RULES) == set(BOUNDARIES) | own


def value(name, text):
    return RULES[name].measure(Text(text))


def test_values_by_hand():
    assert value("sentences", BOUNDARIES["sentences"][1]) == 5
    assert value("alphabetic_words", "x = 5") == pytest.approx(1 / 3)
    assert value("min_mean_word", "aa bbbb, !") == value("max_mean_word", "aa bbbb, !") == 3
    assert value("min_mean_word", "日本語") is None
    assert value("min_characters", "\u200b\ufeff \u200e") == 0  # nothing to be seen
    assert value("min_characters", "\u200bπ") == 1
    assert value("unfinished", "- an item of a list without any end") == 0
    assert value("unfinished", "It ends with some tags for it #one") == 0
    assert value("unfinished", "def f(x) = and so on we go") == 0
    assert value("unfinished", "A whole sentence that has an end.") == 0


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_mojibake_of_utf8(encoding):
    text = "Käse, Größe, “quoted”, naïve"
    if encoding == "latin-1":
        text = "Käse, Größe, naïve"
    broken = text.encode("utf-8").decode(encoding, "replace")
    assert value("mojibake", text) == 0
    assert value("mojibake", broken) > 0.2


def test_mojibake_of_utf16_and_lost_characters():
    assert value("mojibake", "four".encode("utf-16-le").decode("utf-16-be")) == 1
    assert value("mojibake", "in 2000".encode("utf-16-le").decode("utf-16-be")) > 0.5
    assert value("mojibake", "नमस्ते".encode().decode("latin-1")) > 0.9  # E0 A4, as most of India's
    assert value("mojibake", "\ufffd" + "a" * 99) == 0.01


@pytest.mark.parametrize(
    "text",
    [
        "São Paulo fica no Brasil. Não há coração.", "Ça va? Où est l'hôtel? Âge, à côté",
        "ЭТО РУССКИЙ ТЕКСТ, и это тоже",
        "一二三，这是一个例子。", "가나다 한국어", "ESPAÑA", "ça… «à»",
        "Ünïcödë — “fine”", "Tiếng Việt: Âu Cơ",
        "Le mot est «\xa0là\xa0», ou «voilà…»", "\u3000\u3000\u3000春はあけぼの。",
    ],
)  # fmt: skip
def test_text_that_is_no_mojibake(text):
    assert value("mojibake", text) == 0


def test_percent_escapes():
    assert value("percent_escapes", "Yes%2C it%20is") == pytest.approx(6 / 14)
    assert value("percent_escapes", "100%ab") == 0  # a single one is none


def test_mixed_characters():
    # 24 different neighbours: 23 of the alphabet from a to x, and xA, which is mixed
    text = "abcdefghijklmnopqrstuvwxA"
    assert value("mixed_characters", text) == pytest.approx(1 / 24)
    assert value("mixed_characters", text[:-1]) is None
    # a4 and 4b: letter and digit on both sides; +4 is none, capital to small neither
    assert value("mixed_characters", "Abcdefghijklmnopqrstuvw a4b +4") == pytest.approx(2 / 25)


@pytest.mark.parametrize(
    "text",
    [
        "北京冬奥会于2022年2月4日至2月20日举行，共有91个国家参加。",
        "大会は2021年7月23日に始まり、8月8日に終わった。",
        "서울 올림픽은 1988년 9월 17일부터 10월 2일까지 열렸고 159개국이 왔다.",
    ],
)
def test_dates_are_no_mixed_characters(text):
    assert value("mixed_characters", text) == 0


def test_lines_that_c4_keeps():
    assert c4_keeps("He said so.") and c4_keeps('"He said so."') and c4_keeps("So it was [1].")
    assert c4_keeps("It has a source.[12]")
    for line in ("He said so", "Said so.", "He said so...", "Please enable Javascript now.",
                 "Read our privacy policy first.", "a b " + "c" * 1001 + "."):  # fmt: skip
        assert not c4_keeps(line), line


def test_every_rule_has_words():
    assert set(WORDS) == set(RULES)
