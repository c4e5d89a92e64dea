import json

import pytest
from tamis.pipeline.cli import app
from tamis.pipeline.run import select
from tamis.tests.runs import quiet, run_config
from tamis.tests.tiny import write_jsonl
from typer.testing import CliRunner

ROWS = [
    {"instruction": f"Question {i}", "output": "word " * (40 - i), "rating": i} for i in range(40)
]
ROWS[39]["instruction"] = "\x1b[31m</script>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("diff")


@pytest.fixture(scope="module")
def runs(folder):
    """The longest ten, and the ten best rated, which are the shortest."""
    data = [{"name": "pool", "path": str(write_jsonl(folder / "rows.jsonl", ROWS))}]
    rated = [{"use": "top_k", "by": "rated.score"}]
    longest = run_config(folder, name="longest", data=data)
    best = run_config(folder, name="rated", data=data, selector=rated, budget={"rows": 5})
    return [str(select(config, quiet()).folder.path) for config in (longest, best)]


def invoke(*arguments):
    return CliRunner().invoke(app, ["diff", *arguments])


def test_in_the_terminal(runs):
    said = invoke(*runs, "--rows", "2")
    assert said.exit_code == 0
    for text in (
        "keeps 10 rows, of a budget of 10 rows; the pool has 40 different rows",
        "the budgets differ: 10 rows and 5 rows",
        "both keep 0 (Jaccard 0.000); random choices of these sizes would share 1.2",
        "rank correlation of long.score of A and rated.score of B: -1.000 (Spearman, 40 rows)",
        "A alone keeps 10 that B knows; the surest:",
        "top_k: over budget, rank 40, score above 0.0% of rows",
        "Question 1 ",
    ):
        assert text in said.output, text
    assert "Question 2 " not in said.output and "\x1b" not in said.output


def test_json(runs):
    said = json.loads(invoke(*runs, "--json").output)
    assert said["overlap"]["both"] == 0 and len(said["only_a"]) == 5
    assert said["lengths"][1]["part"] == "answer"


def test_a_page(runs, folder):
    path = folder / "diff.html"
    said = invoke(*runs, "--html", str(path))
    assert f"page: {path}" in said.output.replace("\n", "")
    page = path.read_text("utf-8")
    assert "Question 9" in page  # more rows than in the terminal
    assert "Question 9" not in said.output
    assert page.count("</script>") == 1 and "\x1b" not in page


def test_rows_chosen_elsewhere(runs, folder):
    path = write_jsonl(folder / "chosen.jsonl", [ROWS[0], ROWS[20]])
    said = invoke(runs[0], str(path)).output
    assert "B was chosen elsewhere: 2 rows read, 0 of them unusable, 2 found in the pool" in said
    assert "both keep 1" in said and "A alone keeps 9; the surest:" in said
    assert "B alone keeps 1 that A knows; the first:" in said


def test_nothing_known(runs, folder):
    path = write_jsonl(folder / "none.jsonl", [{"instruction": "x", "output": "y"}])
    said = invoke(runs[0], str(path))
    assert said.exit_code != 0 and "none of the 1 rows" in str(said.exception)
