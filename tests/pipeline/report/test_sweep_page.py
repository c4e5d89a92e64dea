import re

import pyarrow as pa
from tamis.pipeline.report.sweep_page import sweep_page
from tamis.pipeline.sweep_figures import facts_of, figures, lines
from tamis.tests.pipeline.test_sweep_figures import CELLS, LENGTHS, POOL
from tamis.tests.pipeline.test_sweep_table import found

EVIL = "</script><img src=x onerror=alert(1)>"


def titles(html):
    return re.findall(r"<h4>(.*?)</h4>", html)


def test_tables_and_charts_of_each_budget():
    html = sweep_page(found())
    assert re.findall(r"<h2>(.*?)</h2>", html) == ["Budget 3 rows", "The methods"]
    assert titles(html) == [
        "Rows that the config&#39;s own choice keeps too",
        "Length of the answers",
        "Shift of the sources",
        "Faulty rows",
    ]
    assert html.count("<svg") == 4
    assert "random, lowest" in html and "random, highest" in html
    assert "Rows in common: Jaccard index" in html
    assert "by: a.score" in html and "rows: None" not in html


def test_what_is_not_there_has_no_chart():
    one = POOL.set_column(0, "source", pa.array(["a"] * 6))
    facts = facts_of(None, one, LENGTHS)
    cells = [cell for cell in CELLS[1:4]]
    plain = found() | {"pool": facts.pool(), "cells": lines(figures(facts, cells))}
    html = sweep_page(plain | {"left_out": ["top t"]})
    assert titles(html) == ["Rows that a random choice keeps too", "Length of the answers"]
    assert "Left out: top t" in html


def test_one_random_choice_is_no_range():
    assert "<svg" in sweep_page(found(cells=CELLS[:3]))


def test_names_and_faults_are_text():
    faults = POOL.set_column(1, "data.fault", pa.array([EVIL, "none"] * 3))
    facts = facts_of("data.fault", faults, LENGTHS)
    html = sweep_page(found() | {"pool": facts.pool(), "cells": lines(figures(facts, CELLS[:4]))})
    assert EVIL not in html
    assert "&lt;/script&gt;&lt;img src=x" in html
    assert "Content-Security-Policy" in html
