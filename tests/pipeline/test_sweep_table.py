from pathlib import Path

from tamis.pipeline.sweep_figures import facts_of, figures, lines
from tamis.pipeline.sweep_table import middle, share, sweep_table
from tamis.tests.pipeline.test_summary import shown
from tamis.tests.pipeline.test_sweep_figures import CELLS, LENGTHS, POOL


def found(labels="data.fault", cells=CELLS[:4]):
    facts = facts_of(labels, POOL, LENGTHS)
    return {
        "name": "x-sweep",
        "seeds": 2,
        "methods": {"selection": [{"use": "top_k", "by": "a.score", "rows": None}]},
        "pool": facts.pool(),
        "cells": lines(figures(facts, cells)),
        "left_out": [],
    }


def test_a_table_for_each_budget():
    text = shown(sweep_table(Path("runs/x-sweep"), found(), was_done=False))
    assert "done: 6 usable rows; random: mean of 2 seeds" in text
    assert "runs/x-sweep/sweep.html" in text
    assert "budget 3 rows" in text
    top = next(line for line in text.splitlines() if "top a" in line)
    assert top.split()[2:] == ["3", "33.3%", "66.7%", "30", "0.86", "16.7%"]
    assert "66.7% to 66.7%" in text  # of random's own
    assert "echo" in text
    plain = shown(sweep_table(Path("x"), found(labels=None) | {"left_out": ["top t"]}, True))
    assert plain.startswith("already done")
    assert "faulty" not in plain
    assert "left out: top t" in plain


def test_one_random_choice_has_no_range():
    text = shown(sweep_table(Path("x"), found(cells=CELLS[:3]), was_done=False))
    assert " to " not in text.split("budget")[1]


def test_figures():
    assert middle({"mean": 2.0, "low": 1.0, "high": 3.0}) == middle(2.0) == 2.0
    assert share(0.125) == "12.5%"
    assert share(None) == "\N{EN DASH}"
