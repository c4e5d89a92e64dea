import tracemalloc

import numpy as np
import pytest
from tamis.stages import overlap
from tamis.stages.grams import Lists
from tamis.stages.overlap import INDEX, index_of, overlaps, pairs_with, starts_of
from tamis.tests.conversations import conversations, pairs, said

ITEMS = pairs(("A B C D E", "F G H I J"), ("Capital of France?", "Paris"), ("One", "two three"))


def found(*rows, n=4, alone=True):
    index = index_of([ITEMS], n, alone)
    return list(overlaps(pairs(*rows), index, n, alone))


def test_ngrams_of_datatrove():
    """Query ABCDE, answer FGHIJ, n = 4: those of the answer, and those across."""
    text = "ABCDEFGHIJ"
    assert [text[s : s + 4] for s in starts_of(5, 5, 4, False)] == [
        *("CDEF", "DEFG", "EFGH"),
        *("FGHI", "GHIJ"),
    ]
    assert [text[s : s + 4] for s in starts_of(5, 5, 4, True)][:2] == ["ABCD", "BCDE"]
    assert len(starts_of(1, 1, 4, True)) == len(starts_of(2, 1, 4, False)) == 0


def test_the_index_holds_them():
    index = index_of([ITEMS], 4, False)
    assert index.schema == INDEX
    assert sorted(index["start"].to_pylist()) == [0, 2, 3, 4, 5, 6]  # 0: of France? Paris
    assert index["hash"].to_pylist() == sorted(index["hash"].to_pylist())
    whole = index_of([ITEMS, ITEMS], 4, True)
    assert set(whole["target"].to_pylist()) == {0, 1}
    assert index_of([ITEMS.slice(0, 0)], 4, True).num_rows == 0


@pytest.mark.parametrize(
    ("row", "item", "instruction", "answer", "coverage"),
    [
        (("a b c d e", "f g h i j"), 0, 1.0, 1.0, 1.0),
        (("x A, b; C d y", "z"), 0, 0.8, 0.0, 0.8),  # four of the five words of the instruction
        (("x", "then F g h i j."), 0, 0.0, 1.0, 1.0),
        (("b c d e", "f"), 0, 0.8, 0.2, 0.8),
        (("f g h i j?", "x"), 0, 0.0, 1.0, 1.0),  # an answer in an instruction
        (("capital OF france", "Lyon"), 1, 1.0, 0.0, 1.0),  # short: as a whole
        (("capital of France", "Paris"), 1, 1.0, 1.0, 1.0),
    ],
)
def test_coverage_by_hand(row, item, instruction, answer, coverage):
    (one,) = found(row)
    assert (one.row, one.target, one.item) == (0, 0, item)
    assert (one.instruction, one.answer, one.coverage) == (instruction, answer, coverage)


def test_what_is_no_overlap():
    rows = ("a b c", "d"), ("c b a d e", "x"), ("the capital of France?", "x"), ("say", "Paris")
    assert [one.coverage for one in found(*rows)] == [0.8]  # a b c and d, across the row's sides
    assert found(("a b", "c x d e f"), ("two three", "x"), ("x", "One")) == []


def test_instructions_alone_need_not_count():
    assert found(("a b c d e", "x"), ("Capital of France?", "x"), alone=False) == []
    (one,) = found(("a b c d e", "f x"), alone=False)  # c d e f begins in the instruction
    assert (one.instruction, one.answer, one.coverage) == (0.6, 0.2, 0.4)  # of both; it alone not


def test_a_short_answer_alone_says_nothing():
    """The last words of an instruction and a short answer, which other items have as well."""
    items = pairs(("how many apples does she have now", "5"))
    index = index_of([items], 6, True)
    (one,) = overlaps(pairs(("and so she went: apples does she have now", "5")), index, 6, True)
    assert one.answer == 1.0
    assert one.coverage == pytest.approx(6 / 8)  # of all the words, not of the answer
    assert one.instruction == pytest.approx(5 / 7)


def test_a_message_of_a_longer_conversation():
    rows = conversations(
        [
            said(
                *(("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi")),
                *(("user", "capital of france"), ("assistant", "Paris")),
            )
        ]
    )
    (one,) = overlaps(rows, index_of([ITEMS], 4, True), 4, True)
    assert one.item == 1 and one.instruction == 1.0


def test_words_that_are_shared():
    (one,) = found(("A b c d e! something else f G h i j", "."))
    assert one.words == "a b c d e" and one.coverage == 1.0
    (one,) = found(("so: a b c d e", "F g"))
    assert one.words == "a b c d e f g"


def test_words_are_those_of_the_largest_coverage():
    items = pairs(("a b c d x y z", "v"), ("a b c d", "w"), ("a b c d", "u"))
    own = pairs(("a b c d", "-")), index_of([items], 4, True), 4, True
    assert [(one.item, one.words) for one in overlaps(*own)] == [(0, ""), (1, "a b c d"), (2, "")]
    assert [one.item for one in overlaps(*own, 0.8)] == [1, 2]
    assert [one.item for one in overlaps(*own, 1.1)] == [1]  # the largest is always told


def test_what_a_row_says_many_times_counts_once():
    (one,) = found(("a b c d, " * 500, "x"))
    assert (one.coverage, one.words) == (0.8, "a b c d")


def test_blocks_and_order_change_nothing(monkeypatch):
    rows = [("a b c d e", "f g h i j"), ("x", "y"), ("capital of france", "P"), ("b c d e", "f")]
    whole = found(*rows * 3)
    monkeypatch.setattr(overlap, "ROWS_AT_ONCE", 2)
    assert found(*rows * 3) == whole
    monkeypatch.setattr(overlap, "ROWS_AT_ONCE", 256)
    monkeypatch.setattr(overlap, "SHARED_AT_ONCE", 3)
    assert found(*rows * 3) == whole
    assert [one.row for one in whole] == sorted(one.row for one in whole)
    alone = [one._replace(row=0) for one in whole if one.row in (0, 2, 3)]
    assert [found(row)[0] for row in (rows[0], rows[2], rows[3])] == alone


def test_a_template_of_all_rows_and_items_does_not_fill_memory(monkeypatch):
    """Every row shares its 17 4-grams with every item: three million places of words in all."""
    monkeypatch.setattr(overlap, "SHARED_AT_ONCE", 1 << 12)
    template = " ".join(f"w{i}" for i in range(20))
    items = pairs(*((f"{template} item{i} x{i}", f"y{i}") for i in range(400)))
    rows = pairs(*((template, f"row{i}") for i in range(120)))
    index = index_of([items], 4, True)
    tracemalloc.start()
    ended = [one.row for one in overlaps(rows, index, 4, True, 0.95)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ended == list(range(120))
    assert peak < 40e6  # with all at once 250 MB


def test_numbers_in_common(monkeypatch):
    def lists(*own):
        flat = np.array([value for one in own for value in one], np.uint64)
        return Lists(flat, np.concatenate([[0], np.cumsum([len(one) for one in own])]))

    rows, items = lists([1, 2, 2], [], [3]), lists([2, 9], [3, 2])
    assert list(pairs_with(rows, items)) == [(0, 0), (0, 1), (2, 1)]
    assert list(pairs_with(lists([], []), items)) == []
    monkeypatch.setattr(overlap, "SHARED_AT_ONCE", 1)
    assert list(pairs_with(rows, items)) == [(0, 0), (0, 1), (2, 1)]
