"""The config `filters` on the embedded pool: what each filter finds of the planted faults."""

import io

import pytest
from rich.console import Console
from tamis.pipeline.explain import explain
from tamis.pipeline.explain_command import show_explanation
from tamis.pipeline.finished import open_run
from tamis.pipeline.load import load
from tamis.pipeline.run import select
from tamis.pipeline.summary import summarise
from tamis.tests.runs import quiet


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filters")
    config = load("filters")
    engine = config.engine.model_copy(update={"kind": "local"})
    places = {"store": str(folder / "store"), "out": str(folder / "runs")}
    config = config.model_copy(update=places | {"engine": engine, "report": False})
    return select(config, quiet())


@pytest.fixture(scope="module")
def found(run):
    faults = run.manifest["faults"]
    kinds = faults["kinds"]
    return {
        name: own | {k: dict(zip(kinds, own[k], strict=False)) for k in ("recall", "precision")}
        for name, own in faults["found"].items()
    }


@pytest.mark.parametrize(
    ("name", "kind", "recall", "precision"),
    [
        # a sixth of the gibberish is good words in another order, which no such rule can see
        ("text", "gibberish", 0.65, 0.99),
        ("echo", "echo", 0.99, 0.92),
        ("refusals", "boilerplate", 0.90, 0.99),
    ],
)
def test_planted_faults_are_found(found, name, kind, recall, precision):
    assert found[name]["recall"][kind] >= recall
    assert found[name]["precision"][kind] >= precision


def test_good_rows_pass(found):
    """Only answers that are the input as it was given are taken along: lists in order already."""
    assert {name: own["harmed"] for name, own in found.items() if own["harmed"]} == {
        "echo": pytest.approx(10 / 3000),
        "all filters": pytest.approx(10 / 3000),
    }


def test_it_is_printed(run):
    console = Console(file=io.StringIO(), width=100)
    console.print(summarise(run.folder.path, run.manifest, was_done=False))
    shown = console.file.getvalue()
    assert "faults found by each filter alone" in shown
    assert "100.0%" in shown and "no fault" in shown and "0.33%" in shown


def test_values_stand_in_the_ledger(run):
    names = set(open_run(run.folder.path).ledger.column_names)
    assert {"text.letter_pairs", "echo.repeated", "language.probability", "loops.loop"} <= names


def test_dropped_and_kept_rows_are_explained(run):
    finished = open_run(run.folder.path)
    table = finished.ledger
    for step, said in {
        "echo": "its answer only says the instruction again",
        "refusals": "all rows that pass the filters are kept",
    }.items():
        outcome = "kept" if step == "refusals" else "dropped"
        at = (table["step"].to_numpy() == step) & (table["outcome"].to_numpy() == outcome)
        row_id = int(table["row_id"].to_numpy()[at][0])
        console = Console(file=io.StringIO(), width=100)
        console.print(show_explanation(explain(finished, row_id)))
        assert said in console.file.getvalue()
