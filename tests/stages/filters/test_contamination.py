import pytest
from tamis.stages.filters.contamination import LONGEST, Contamination, shortened
from tamis.tests.conversations import pairs

TEST = pairs(
    ("How many apples are left in the old basket?", "There are three apples left, I think.")
)


def judged(*rows, **fields):
    own = Contamination(**({"target": "test", "n": 4} | fields))
    table = pairs(*rows).select(["messages"])
    return own(table, own.aim({"test": TEST})).to_pylist()


def test_by_hand():
    """Seven of the nine words of the instruction, in another form."""
    (row,) = judged(("Tell me, HOW MANY apples are  left in the basket!", "Some."))
    assert row["reason"] == "contaminated: test item 0"
    assert row["coverage"] == row["instruction_coverage"] == pytest.approx(7 / 9)
    assert (row["answer_coverage"], row["items"]) == (0.0, 1)
    assert row["match"] == "how many apples are left in the"


def test_what_passes_keeps_its_numbers():
    rows = judged(("are left in the box", "No."), ("Nothing", "alike"))
    assert rows[0]["reason"] is None and rows[0]["coverage"] == pytest.approx(4 / 9)
    assert rows[1] == dict.fromkeys(rows[1])


def test_either_side_is_enough():
    assert judged(("Say:", "There are three apples left, I think"))[0]["answer_coverage"] == 1.0
    (row,) = judged(("x", "three apples left I suppose"))
    assert row["answer_coverage"] == pytest.approx(4 / 7) and row["reason"]


def test_settings():
    row = ("How many apples are left in the old basket?", "No idea.")
    assert judged(row)[0]["reason"]
    assert judged((f"{row[0]} Say!", "x"), n=10)[0]["reason"] is None  # it has nine words
    assert judged(row, instruction_only=False)[0]["reason"] is None
    assert judged((row[0][:30], "x"), coverage=0.9)[0]["reason"] is None


def test_a_row_does_not_depend_on_others():
    rows = [
        ("How many apples are left in the box", "x"),
        ("y", "z"),
        ("There are three apples", ""),
    ]
    assert judged(*rows) == [judged(row)[0] for row in rows]


def test_it_needs_its_index():
    with pytest.raises(ValueError, match="needs the index"):
        Contamination(target="t")(pairs(("a", "b")).select(["messages"]))


def test_long_matches_are_cut():
    assert shortened("x" * LONGEST) == "x" * LONGEST
    assert shortened("x" * (LONGEST + 1)) == "x" * LONGEST + "…"
