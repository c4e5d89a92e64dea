import unicodedata

import pyarrow as pa
import pytest
from tamis.stages.base import MESSAGE
from tamis.stages.checks import check_stage
from tamis.stages.signals.concepts import Concepts, phrases, ranked


def rows(*conversations):
    roles = ("user", "assistant", "user", "assistant")
    messages = [
        [
            {"role": role, "content": text, "name": None, "tool_calls": None, "tool_call_id": None}
            for role, text in zip(roles, texts, strict=False)
        ]
        for texts in conversations
    ]
    return pa.table({"messages": pa.array(messages, pa.list_(MESSAGE))})


def concepts(*texts, **fields):
    return Concepts(**fields)(rows(texts), ["concepts"])["concepts"].to_pylist()[0]


def test_phrases():
    text = "What is the capital city of France? Paris, the well-known city\nlight 42 people's votes"
    assert phrases(text) == [
        ("capital", "city"),
        ("france",),
        ("paris",),
        ("well-known", "city"),
        ("light",),
        ("people's", "votes"),
    ]
    assert phrases("") == phrases("the of 12 3.5 !?") == []


def test_scores_by_hand():
    """city is in two phrases of two words: 4 / 2; so capital city has 2 + 2, and votes 1."""
    found = [("capital", "city"), ("votes",), ("big", "city", "light"), ("city",), ("votes",)]
    # city: (2 + 3 + 1) / 3 = 2; capital 2, big 3, light 3, votes 2 / 2 = 1
    assert ranked(found) == ["big city light", "capital city", "city", "votes"]
    assert ranked([("b",), ("a",)]) == ["a", "b"]


def test_all_messages_count_and_each_phrase_once():
    found = concepts("Name a red fruit.", "Red fruit: cherry", "And a bird?", "Green parrot")
    assert found == ["green parrot", "red fruit", "bird", "cherry"]


def test_how_many_and_how_long():
    text = "one-eyed old sea captain of boats, anchors, ropes"
    assert concepts(text, most=2) == ["anchors", "boats"]
    assert concepts(text, most=None, max_words=None) == [
        "one-eyed old sea captain",
        "anchors",
        "boats",
        "ropes",
    ]


@pytest.mark.parametrize("text", ["", "the 42", "!!!"])
def test_none(text):
    assert concepts(text) == []


def test_other_scripts():
    assert concepts("Größe der Straße; 日本語") == ["größe der straße", "日本語"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("हिन्दी में भाषा सीखना, पुस्तक", ["हिन्दी में भाषा सीखना", "पुस्तक"]),
        ("ภาษาไทย เป็นภาษาที่น้ำ", ["ภาษาไทย เป็นภาษาที่น้ำ"]),
        ("বাংলা ভাষা", ["বাংলা ভাষা"]),
        ("كِتَابٌ جَدِيدٌ", ["كِتَابٌ جَدِيدٌ"]),
        ("क\u200cख ग", ["क\u200cख ग"]),
    ],
)
def test_marks_belong_to_their_word(text, expected):
    assert concepts(text, max_words=None) == [unicodedata.normalize("NFC", one) for one in expected]


def test_composed_and_decomposed_letters_are_the_same():
    text = "Élève français; İzmir"
    expected = ["élève français", "i\u0307zmir"]
    for form in ("NFC", "NFD"):
        assert concepts(unicodedata.normalize(form, text)) == expected


def test_signs_of_names():
    assert phrases("C++, C# and node.js (e.g. file.txt). End.Begin a++b") == [
        ("c++",),
        ("c#",),
        ("node.js",),
        ("file.txt",),
        ("end",),
        ("begin",),
        ("b",),
    ]
    assert phrases("#tag x\u20e3\ufe0f \ufe0f 1\ufe0f\u20e3") == [("tag", "x\u20e3\ufe0f")]


def test_contract():
    check_stage(Concepts(), rows(["Sort red apples", "done"], ["", ""], ["the", "the sea"]))
