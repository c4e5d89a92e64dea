import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from tamis.errors import PlanError
from tamis.stages.checks import check_selector
from tamis.stages.selectors.base import Budget
from tamis.stages.selectors.best_source import BestSource

# rows of (source, instruction, score): b is worse on what both have answered, and has answered
# easy ones beside
ROWS = [
    ("a", "x", 0.5),
    ("a", "y", 0.7),
    ("b", "x", 0.4),
    ("b", "y", 0.6),
    ("b", "y", 0.8),  # the mean of its two answers is that of a
    ("b", "easy", 0.99),
    (None, "x", 1.0),
    ("a", None, 0.1),
]


def pool(rows=ROWS):
    source, instruction, score = zip(*rows, strict=True)
    return pa.table(
        {
            "row_id": range(len(rows)),
            "sample_id": [f"{place:032x}" for place in range(len(rows))],
            "source": pa.array(source, pa.string()),
            "asked.group": pa.array(instruction, pa.string()),
            "grape.score": pa.array(score, pa.float32()),
        }
    )


def selector(**fields):
    return BestSource(by="grape.score", instruction="asked.group", **fields)


def test_golden():
    """a: (.5 + .7) / 2 = .6; b: (.4 + .7) / 2 = .55. b's mean over all its rows would be .6975."""
    choice = selector()(pool(), Budget(99))
    assert choice.order[: choice.n_kept].tolist() == [1, 0, 7]
    assert choice.reason[2] == "another source: b (0.55)"
    assert choice.reason[6] == "no source"
    assert choice.pulled[0] == "best source: a (0.6)"
    assert choice.margin[:3] == pytest.approx([0.05, 0.05, -0.05], abs=1e-7)
    assert choice.said == (
        "mean grape.score on 2 instructions that every source has",
        "a: 0.6, 3 rows",
        "b: 0.55, 4 rows",
    )


def test_every_reason_has_words():
    choice = selector()(pool(), Budget(99))
    kinds = {reason.partition(":")[0] for reason in choice.reason}
    assert kinds | {"best source"} == set(BestSource.words)


def test_a_sample_of_the_instructions():
    rows = [
        (source, str(i), i * (1 if source == "a" else -1)) for i in range(1, 50) for source in "ab"
    ]
    lines = {selector(sample=3, seed=seed)(pool(rows), Budget(9)).said for seed in range(5)}
    assert len(lines) == 5
    assert all("on 3 instructions" in line[0] and line[1].startswith("a") for line in lines)
    mixed = pool(rows).take(np.random.default_rng(0).permutation(len(rows)))
    assert selector(sample=3, seed=0)(mixed, Budget(9)).said in lines


def test_equal_sources_and_a_single_one():
    rows = [("b", "x", 0.5), ("a", "x", 0.5)]
    assert selector()(pool(rows), Budget(9)).order[0] == 1
    one = selector()(pool([("b", "x", 0.5)]), Budget(9))
    assert (one.n_kept, one.margin[0]) == (1, np.inf)
    assert selector()(pool([(None, "x", 0.5)]), Budget(9)).n_kept == 0


def test_nothing_in_common():
    with pytest.raises(PlanError, match=r"no asked\.group has an answer of every source .* a, b"):
        selector()(pool([("b", "x", 0.5), ("a", "y", 0.5)]), Budget(9))


def test_a_column_of_something_else():
    rows = [(str(place), "x", 0.5) for place in range(1001)]
    with pytest.raises(PlanError, match="source has 1,001 values; at most 1,000"):
        selector()(pool(rows), Budget(9))


def test_contract():
    check_selector(selector(), pool())


def test_memory_is_that_of_the_rows_and_not_of_sources_times_instructions():
    rows = [("a", str(place), 0.5) for place in range(20_000)]
    rows += [(f"b{place}", "0", 0.5) for place in range(400)]
    table = pool(rows)
    tracemalloc.start()
    choice = selector()(table, Budget(9))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "on 1 instructions" in choice.said[0]
    assert most < 30e6


def test_the_name_of_a_source_may_be_any_text():
    """It cannot write lines of its own at the end of a run, nor a book into every reason."""
    rows = [("a\nrows kept: 99 " + "x" * 1000, "x", 0.5), ("b", "x", 0.4)]
    choice = selector()(pool(rows), Budget(9))
    assert not any("\n" in text for text in (*choice.said, choice.pulled[0]))
    assert max(map(len, choice.said)) < 120 > len(choice.pulled[0])
