from dataclasses import replace

import numpy as np
import pytest
from tamis.pipeline.report.asked import _budget, asked
from tamis.pipeline.report.chapter import Finding


def test_figures_and_verdicts_gravest_first(run, beside):
    found = [Finding("ok", "fine"), Finding("major", "grave"), Finding("minor", "some")]
    shown = asked(run, beside, None, found).__html__()
    assert shown.index(">grave<") < shown.index(">some<") < shown.index(">fine<")
    assert "1 of 3 checks found something that should be understood" in shown
    assert "<dd>120</dd>" in shown and "<dd>20</dd>" in shown and "16.7% of the rows in" in shown


def test_what_was_asked_names_no_place_of_this_machine(run, beside):
    shown = asked(run, beside, None, []).__html__()
    assert "threshold, by rated.score, at_least 1.0" in shown and "20 rows" in shown
    assert str(run.folder.parent) not in shown
    assert "None of 0 checks found anything unusual." in shown


def test_chance_is_that_of_the_random_choice(run, beside):
    """With a budget of tokens it has more rows than the selection, where answers are long."""
    random = beside.random.copy()
    random[0] = np.arange(119) % 2 == 0  # 60 rows
    shown = asked(run, replace(beside, random=random), None, []).__html__()
    assert "chance alone: 50.4%" in shown
    same = asked(run, replace(beside, random=beside.kept[None]), None, []).__html__()
    assert "the kept rows are that random choice" in same


@pytest.mark.parametrize(
    ("unit", "value", "says"),
    [
        ("fraction", 0.05, "5% of the usable rows"),
        ("answer_tokens", 12_000, "12,000 answer tokens"),
        ("rows", 20, "20 rows"),
    ],
)
def test_the_budget_in_words(unit, value, says):
    assert _budget(unit, value) == says
