import json

import pytest
from tamis.pipeline.cli import app
from tamis.pipeline.run import select
from tamis.tests.runs import quiet, run_config
from tamis.tests.tiny import write_jsonl
from typer.testing import CliRunner

EVIL = "\x1b[31mred [bold]not bold[/bold]"
ROWS = [
    {"instruction": f"Question {i}", "output": "word " * (i + 1), "rating": i} for i in range(40)
]
ROWS[3]["instruction"] = EVIL
ROWS[5]["output"] = ""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    data = [{"name": "pool", "path": str(write_jsonl(folder / "rows.jsonl", ROWS))}]
    return str(select(run_config(folder, data=data), quiet()).folder.path)


def invoke(*arguments):
    return CliRunner().invoke(app, ["explain", *arguments])


def test_one_screen(run):
    said = invoke(run, "12")
    assert said.exit_code == 0
    for text in (
        "row 12 of run: dropped by top_k (step 1 of 1)",
        "over budget: the rows before it in the order fill the budget",
        "10 rows; in at a budget of",
        "of 39 rows that came to top_k (by long.score), which keeps 10; margin -",
        "source pool, sample_id ",
        "Question 12",
        "word word",
        "by TF-IDF of hashed words",
    ):
        assert text in said.output, text
    assert len(said.output.splitlines()) < 25


def test_a_rejected_row(run):
    said = invoke(run, "5").output
    assert "row 5 of run: rejected as it was read" in said
    assert "it cannot be used: empty answer" in said and "rows.jsonl, line 6" in said


def test_what_stands_in_a_row_does_not_steer_the_terminal(run):
    said = invoke(run, "3").output
    assert "\x1b" not in said and "[bold]not bold[/bold]" in said
    assert "\x1b" not in invoke(run, "--find", "BOLD").output


def test_by_text_and_place(run):
    assert "row 39 of run: kept by top_k" in invoke(run, "--find", "question 39").output
    assert "row 9 of run" in invoke(run, "--at", "rows.jsonl:10").output
    several = invoke(run, "--find", "question 1").output
    assert "11 rows that say 'question 1'; name one: tamis explain" in several
    assert several.count("Question 1") == 11
    assert "the first 20 rows that say 'word'" in invoke(run, "--find", "word").output


def test_json(run):
    said = json.loads(invoke(run, "12", "--json").output)
    assert said["verdict"]["what"] == "dropped by top_k (step 1 of 1)"
    assert said["scores"][0]["scorer"] == "long"
    several = json.loads(invoke(run, "--find", "question 1", "--json").output)
    assert several[0] == {"row_id": 1, "outcome": "dropped", "text": "Question 1"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name one row"),
        (("1", "--find", "x"), "name one row"),
        (("--find", "nowhere at all"), "no row of this run says 'nowhere at all'"),
        (("40",), "there are 0 to 39"),
    ],
)
def test_mistakes(run, arguments, says):
    said = invoke(run, *arguments)
    assert said.exit_code != 0 and says in str(said.exception)
