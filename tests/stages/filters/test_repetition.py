import zlib

import pytest
from tamis.stages.checks import check_stage
from tamis.stages.filters.repetition import Repetition, longest_loop, loop_share, zlib_ratio
from tamis.stages.judge import Judge
from tamis.tests.stages.filters.rows import answers, reasons, rows


@pytest.mark.parametrize(
    ("units", "longest"),
    [
        ("a b c d", 0),
        ("a a", 0),  # twice is no loop
        ("a a a", 3),
        ("x a b a b a b y", 6),
        ("a b a b a b a", 7),  # begun again
        ("a b c a b c a b c z z z", 9),
        ("a b a c a d a e", 0),
        ("", 0),
    ],
)
def test_longest_loop_by_hand(units, longest):
    assert longest_loop(units.split()) == longest


def test_loop_share():
    assert loop_share("It is so very very very very good.") == 4 / 8
    assert loop_share("no no no") is None
    assert loop_share("Ha" * 20) == 1  # letter by letter
    assert loop_share("\u597d\u7684" * 10) == 1


def test_zlib_ratio():
    text = "The same again. " * 40
    assert zlib_ratio(text) == len(zlib.compress(text.encode(), 9)) / 640
    assert zlib_ratio("short") is None
    assert zlib_ratio("\ud800" * 600) is not None  # half a pair of UTF-16


def test_loops_and_what_is_none():
    chorus = (
        "Row, row, row your boat,\ngently down the stream.\nMerrily, merrily, merrily, merrily,\n"
    )
    table = answers(
        "The answer is " + "the answer is " * 9,
        "First a good start. " + "I think that it is so. " * 8,
        "".join(f"{i}. A cat is an animal with four legs.\n" for i in range(60)),
        chorus + "life is but a dream.",
        "| a | b |\n" + "| - | - |\n" * 3,
        "The program prints duck duck duck duck duck.",
        "5 * 5 * 5 = 125",
        "",
    )
    own = Repetition()
    assert reasons(own, table) == ["loop", "loop", "ratio", None, None, "loop", None, None]
    assert reasons(Repetition(loop=None, ratio=None), table) == [None] * 8
    found = own(table.select(["messages"]))
    assert found["loop"][5].as_py() == pytest.approx(5 / 8)


def test_any_answer_of_the_row():
    assert reasons(Repetition(), rows(["a", "Good.", "b", "so " * 10])) == ["loop"]


def test_contract():
    check_stage(Judge(filter=Repetition()), answers("so " * 10, "A good answer.", "x" * 600, ""))
