import pyarrow as pa
import pytest
from tamis.stages.plain_text import _plain_unicode, compared, plain, texts, words
from tamis.tests.conversations import conversations, pairs, said

TALK = conversations(
    [
        said(("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello")),
        said(("user", "One"), ("assistant", "Two"), ("user", "Three"), ("assistant", "Four")),
        [{"role": "user", "content": "call"}, {"role": "assistant", "tool_calls": '{"a": 1}'}],
    ]
)


def stripped(rows, side):
    return [" ".join(text.split()) for text in texts(rows, side).to_pylist()]


def test_sides():
    assert stripped(TALK, "both")[:2] == ["Be kind. Hi Hello", "One Two Three Four"]
    assert stripped(TALK, "instruction") == ["Be kind. Hi", "One Three", "call"]
    assert stripped(TALK, "answer") == ["Hello", "Two Four", '{"a": 1}']


def test_a_slice_is_what_it_is():
    """Offsets of a slice do not begin at 0."""
    for side in ("both", "instruction", "answer"):
        assert stripped(TALK.slice(1, 2), side) == stripped(TALK, side)[1:]
    assert texts(TALK.slice(0, 0), "answer").to_pylist() == []


@pytest.mark.parametrize(
    ("text", "kept", "ignored"),
    [
        ("  Hello,\t\nWORLD! ", "hello, world!", "hello world"),
        (
            "\uff21\uff22\uff23 \ufb01ne \u00b2",
            "abc fine 2",
            "abc fine 2",
        ),  # NFKC: wide letters, a ligature
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth", "softhyphen zerowidth"),
        ("a\u00a0b\u2003c", "a b c", "a b c"),  # white space that is not ASCII
        ("2+2 = 4", "2+2 = 4", "2 2 4"),
        ("don't — stop…", "don't — stop...", "don t stop"),
        ("!?", "!?", ""),
        ("Ünïcode ÉTÉ", "ünïcode été", "ünïcode été"),
    ],
)
def test_forms(text, kept, ignored):
    found = [plain(pa.array([text]), how)[0].as_py() for how in ("keep", "ignore")]
    assert found == [kept, ignored]


def test_words():
    """Signs of scripts that are written without spaces are words of their own."""
    found = words(pa.array(["a bc d", "", "我喜欢 tea", "ひらカナ"]))
    assert found.to_pylist() == [["a", "bc", "d"], [], ["我", "喜", "欢", "tea"], [*"ひらカナ"]]


def test_sides_do_not_run_into_each_other():
    rows = pairs(("a b", "c"), ("a", "b c"))
    whole = compared(rows, "both", "keep").to_pylist()
    assert whole[0] != whole[1]
    assert compared(rows, "answer", "keep").to_pylist() == ["c", "b c"]


def test_ascii_has_a_way_of_its_own_that_gives_the_same():
    """Every sign of ASCII between and beside letters, with a row of another script and without."""
    signs = [
        f"{a}A{chr(i)}b{chr(i)}{chr(i)} C{z}" for i in range(128) for a in " x" for z in (" ", "")
    ]
    for how in ("keep", "ignore"):
        alone = plain(pa.array(signs), how)
        assert alone.equals(_plain_unicode(pa.array(signs), how))
        mixed = plain(pa.array([*signs, "É "]), how)
        assert mixed.to_pylist() == [*alone.to_pylist(), "é"]
        assert plain(pa.array(["X y", *signs]).slice(1), how).equals(alone)
        split = words(mixed).to_pylist()
        assert split == [*words(alone).to_pylist(), ["é"]]
        assert split[:-1] == [text.split() for text in alone.to_pylist()]
