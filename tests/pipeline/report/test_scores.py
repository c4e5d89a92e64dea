from dataclasses import replace

import numpy as np
from tamis.pipeline.report.beside import put_beside
from tamis.pipeline.report.lengths import Lengths, find_lengths
from tamis.pipeline.report.sampling import draw_sample
from tamis.pipeline.report.scores import cuts, leading, scores


def test_cuts_are_where_the_selectors_drew_them(run, beside):
    last = beside.numbers("long.score")[beside.kept].min()
    assert cuts(run, beside, "long") == (last,)
    assert cuts(run, beside, "rated") == (1.0,)
    assert leading(run) == "long"


def test_a_score_that_is_the_length(run, beside):
    lengths = find_lengths(run, beside, draw_sample(run, beside))
    chapter = scores(run, beside, lengths)
    (found,) = chapter.findings
    assert found.level == "major" and "long mostly goes by the length" in found.text
    assert "correlation +1.00" in found.text
    shown = chapter.__html__()
    assert shown.count("<svg") == 2 and "The upright line is the cut, at 1.000." in shown


def test_another_length_and_none(run, beside):
    rng = np.random.default_rng(0)
    lengths = Lengths(rng.random(119), "tokens", "all")
    assert scores(run, beside, lengths).findings[0].level == "ok"
    assert scores(run, beside, None).findings == []


def test_a_cut_from_above_that_one_row_tells(made):
    """That row alone agrees with a line on either side of it."""
    run = made(
        selector=[
            {"use": "threshold", "by": "long.score", "below": 100_000.0},
            {"use": "top_k", "by": "rated.score"},
        ]
    )
    assert cuts(run, put_beside(run), "long") == (100_000.0,)


def test_no_cut_where_nothing_was_dropped(run, beside):
    n = beside.n_kept
    kept = replace(beside, rows=beside.rows.filter(beside.kept), kept=np.ones(n, dtype=bool))
    assert cuts(run, kept, "long") == ()


def test_without_scorers(made):
    run = made(selector={"use": "random"}, scorers={})
    chapter = scores(run, put_beside(run), None)
    assert "this run has no scorer" in chapter.__html__() and chapter.findings == ()
