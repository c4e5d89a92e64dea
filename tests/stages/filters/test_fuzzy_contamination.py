import builtins

import pytest
from rapidfuzz import fuzz
from tamis.errors import PlanError
from tamis.stages.filters.fuzzy_contamination import FuzzyContamination
from tamis.stages.plain_text import plain, texts
from tamis.tests.conversations import pairs

CODE = """def gcd(a, b):
    while b:
        a, b = b, a % b
    return abs(a)
"""
RENAMED = CODE.replace("a,", "x,").replace("return abs(a)", "return abs(a)  # done")
TEST = pairs(("Write gcd.", CODE), ("Short.", "return a"))


def judged(*answers, **fields):
    own = FuzzyContamination(target="test", **fields)
    table = pairs(*(("Do it.", answer) for answer in answers)).select(["messages"])
    return own(table, own.aim({"test": TEST})).to_pylist()


def test_small_changes_are_found():
    rows = judged(CODE, f"Here you are:\n{RENAMED}\nIt is Euclid's.", "return a", "print('hello')")
    assert [row["reason"] for row in rows[:2]] == ["contaminated: test item 0"] * 2
    assert rows[0]["ratio"] == 1.0 and 0.8 < rows[1]["ratio"] < 1.0
    assert [row["ratio"] for row in rows[2:]] == [None, None]  # too short; nothing in common


def test_the_ratio_is_that_of_rapidfuzz():
    own = pairs(("", CODE), ("", f"x {RENAMED} y"))
    item, row = plain(texts(own, "answer"), "keep").to_pylist()
    assert judged(f"x {RENAMED} y")[0]["ratio"] == pytest.approx(
        fuzz.partial_ratio(item, row) / 100
    )


def test_a_short_piece_is_not_the_whole():
    """Half of a solution is compared with all of it, not slid along it."""
    half = CODE[: len(CODE) // 2 + 8]
    assert (
        judged(half, shortest=20)[0]["ratio"]
        < 0.8
        < fuzz.partial_ratio(CODE.lower(), half.lower()) / 100
    )


def test_candidates_share_words():
    assert judged(RENAMED, n=12)[0]["ratio"] is None
    assert judged(RENAMED, n=2)[0]["ratio"] is not None


def test_other_sides():
    row = judged("unlike anything", side="instruction", shortest=3)
    assert row[0]["ratio"] is None
    own = FuzzyContamination(target="test", side="instruction", shortest=3, n=1)
    table = pairs(("Write gcd!", "x")).select(["messages"])
    found = own(table, own.aim({"test": TEST}))
    assert found["reason"].to_pylist() == ["contaminated: test item 0"]


def test_without_the_library(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith("rapidfuzz"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(PlanError, match=r"pip install 'tamis\[fuzzy\]'"):
        FuzzyContamination(target="test").aim({"test": TEST})


def test_it_needs_its_texts():
    with pytest.raises(ValueError, match="needs the texts"):
        FuzzyContamination(target="t")(pairs(("a", "b")).select(["messages"]))
