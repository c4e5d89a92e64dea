from dataclasses import replace
from functools import partial

import pytest
from tamis.errors import DataError
from tamis.pipeline.doctor import methods
from tamis.pipeline.doctor.methods import (
    check,
    choices,
    kernels,
    method_checks,
    scorer_off,
    selector_off,
)
from tamis.pipeline.doctor.scorer_goldens import GOLDENS as SCORERS
from tamis.pipeline.doctor.selector_goldens import GOLDENS as SELECTORS


def test_every_method_gives_its_numbers_here():
    found = [run() for run in method_checks()]
    assert [finding for finding in found if finding.verdict != "OK"] == []
    assert len({finding.name for finding in found}) == len(found)
    assert "scorer tshirt" in {finding.name for finding in found}


@pytest.mark.parametrize("golden", SCORERS, ids=lambda golden: golden.use)
def test_another_number_is_major(golden):
    wrong = replace(golden, expected={"score": [1.25, *golden.expected["score"][1:]]})
    found = check("it", [partial(scorer_off, golden), partial(scorer_off, wrong)])
    assert (found.verdict, found.name) == ("MAJOR", "it")
    assert found.said.startswith("2 goldens, off by ")
    assert "do not trust" in found.advice


def test_a_number_where_there_must_be_none():
    golden = next(golden for golden in SCORERS if golden.use == "column")
    wrong = replace(golden, expected={"score": [4.5, 0.0, 1.0]})
    assert scorer_off(wrong)[0] == float("inf")


@pytest.mark.parametrize("golden", SELECTORS, ids=lambda golden: golden.use)
def test_another_choice_is_major(golden):
    n = len(next(iter(golden.rows.values())))
    other = next(row for row in range(n) if row != golden.kept[0])
    wrong = replace(golden, kept=[other, *golden.kept[1:]])
    assert selector_off(wrong)[0] >= 1
    assert choices("it", [wrong]).verdict == "MAJOR"
    assert selector_off(replace(golden, kept=golden.kept[:-1]))[0] == 1


def test_what_a_method_says_is_shown():
    def broken():
        raise DataError("no such thing\nand more")

    found = check("it", [broken])
    assert (found.verdict, found.said) == ("MAJOR", "DataError: no such thing")


def test_kernels(monkeypatch):
    import tamis.kernels.goldens as goldens

    assert kernels().said.startswith("7 on cpu by torch")
    wrong = replace(goldens.GOLDENS[0], expected=(9.0,) * 10)
    monkeypatch.setattr(goldens, "GOLDENS", (wrong, *goldens.GOLDENS[1:]))
    found = methods.kernels()
    assert found.verdict == "MAJOR"
    assert "token_stats is off by 9" in found.said
