from tamis.pipeline.report.beside import put_beside
from tamis.pipeline.report.funnel import funnel, selector_steps


def texts(chapter):
    return {finding.text.split(";")[0]: finding.level for finding in chapter.findings}


def test_every_step_and_reason(run, beside):
    chapter = funnel(run, beside)
    shown = chapter.__html__()
    for words in (">120 rows<", ">119 rows<", "after threshold", "after top_k: kept", ">20 rows<"):
        assert words in shown
    assert "empty answer" in shown and "over budget" in shown
    assert selector_steps(run) == ["threshold", "top_k"]


def test_what_was_never_judged(run, beside):
    found = texts(funnel(run, beside))
    assert found["1 of the 120 rows (0.8%) were never judged: 1 could not be read, 0 got no score."]
    assert found["No kept row is an exact copy of another."] == "ok"


def test_ties_copies_and_a_budget_that_is_not_reached(made):
    """By rating alone: 39 rows of rating 9 for 20 places."""
    run = made(selector={"use": "top_k", "by": "rated.score"})
    found = texts(funnel(run, put_beside(run)))
    (tie,) = [text for text in found if text.startswith("The cut runs")]
    assert "20 of them are kept and 20 are not" in tie and found[tie] == "major"


def test_under_budget(made):
    run = made(selector={"use": "threshold", "by": "rated.score", "at_least": 9})
    found = texts(funnel(run, put_beside(run)))
    assert not any(text.startswith("The cut") for text in found) or len(run.kept) == 20


def test_a_selector_of_the_name_of_a_scorer_judges_its_rows(made):
    """As in configs/paser.yaml; here only the 40 rows of the second source have a number."""
    some = {"use": "column", "column": "data.some"}
    run = made(scorers={"top_k": some}, selector={"use": "top_k", "by": "top_k.score"})
    found = texts(funnel(run, put_beside(run)))
    (lost,) = [text for text in found if "never judged" in text]
    assert "80 of the 120 rows (66.7%) were never judged: 1 could not be read, 79 got" in lost
    assert found[lost] == "major"
