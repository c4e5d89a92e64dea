from dataclasses import replace

from tamis.pipeline.diff import Correlation, Count, Diff, Moved, Overlap
from tamis.pipeline.diff_words import correlations_in_words, fate, overlap_in_words, sides_in_words
from tamis.pipeline.drift import Mix
from tamis.pipeline.elsewhere import Reading

A = Count("runs/a", "1,000 rows", 20_000, 1_000, 1_000, 0, 0)
B = Count("runs/b", "2,000 rows", 25_000, 2_000, 2_001, 5_000, 300)
MOVED = Moved(7, 7, 1, "top_k", "over budget", 1_234, 0.955, "text")
FOUND = Diff(
    A,
    B,
    Overlap(400, 400 / 2600, 80.0),
    (Correlation("ifd.score", "tshirt.score", -0.25, 19_000),),
    (MOVED,),
    (),
    600,
    0,
    None,
    Mix("source", {}, 0.0),
    None,
    None,
    (),
)


def test_sides():
    assert sides_in_words(FOUND) == [
        "A  runs/a: keeps 1,000 rows, of a budget of 1,000 rows; the pool has 20,000 different "
        "rows",
        "B  runs/b: keeps 2,001 rows, 2,000 different, of a budget of 2,000 rows; the pool has "
        "25,000 different rows",
        "   the budgets differ: 1,000 rows and 2,000 rows",
        "   5,000 rows of B are unknown to A, among them 300 that B keeps",
        "both keep 400 (Jaccard 0.154); random choices of these sizes would share 80.0, so it is "
        "5.0 times that",
    ]


def test_chosen_elsewhere():
    other = replace(B, name="rows.jsonl", budget="")
    lines = sides_in_words(replace(FOUND, b=other, reading=Reading(2_010, 10, 1_700)))
    assert lines[2] == (
        "   B was chosen elsewhere: 2,010 rows read, 10 of them unusable, 1,700 found in the pool "
        "of A"
    )
    assert len(lines) == 4  # neither budgets nor what is unknown, which was said


def test_nothing_by_chance():
    found = replace(FOUND, overlap=Overlap(0, 0.0, 0.0))
    assert overlap_in_words(found).endswith("would share 0.0")


def test_correlations():
    assert correlations_in_words(FOUND) == [
        "rank correlation of ifd.score of A and tshirt.score of B: -0.250 (Spearman, 19,000 rows)"
    ]
    same = replace(FOUND, correlations=(Correlation("x.score", "x.score", None, 5),))
    assert correlations_in_words(same)[0].startswith("rank correlation of x.score: none")
    apart = replace(FOUND, correlations=(Correlation("x.score", "x.score", None, 0),))
    assert correlations_in_words(apart) == [
        "rank correlation of x.score: none, as 0 rows have both"
    ]


def test_where_a_row_ended():
    assert fate(MOVED) == "top_k: over budget, rank 1,234, score above 95.5% of rows"
    assert fate(Moved(7, 7, 1, "", "", None, None, None)) == "not chosen"
