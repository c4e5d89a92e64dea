import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tamis.errors import PlanError
from tamis.pipeline import run
from tamis.pipeline.config import BudgetConfig, Config
from tamis.pipeline.sweep import budgets_of, methods_of, sweep
from tamis.stages.selectors.top_k import TopK
from tamis.tests.runs import model_config, quiet, run_config

SWEEP = {
    "budgets": [{"fraction": 0.1}, {"rows": 20}],
    "selectors": {
        "spread": {"use": "quota", "by": "long.score", "column": "data.rating", "shares": "equal"}
    },
    "seeds": 3,
}


def kept_ids(ledger: pa.Table) -> list[int]:
    return ledger.filter(pc.equal(ledger["outcome"], "kept"))["row_id"].to_pylist()


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    config = run_config(folder, sweep=SWEEP, labels="data.rating")
    return config, sweep(config, quiet())


def test_every_cell_keeps_what_a_run_with_that_selector_and_budget_keeps(swept):
    config, done = swept
    choices = pq.read_table(done.folder.path / "choices.parquet")
    chains = {name: [dict(step) for step in chain] for name, chain in done.found["methods"].items()}
    chains |= {f"random {seed}": [{"use": "random", "seed": seed}] for seed in range(3)}
    assert set(chains) == {
        *("selection", "spread", "top long", "top rated"),
        *("random 0", "random 1", "random 2"),
    }
    for budget, label in ((SWEEP["budgets"][0], "10%"), (SWEEP["budgets"][1], "20 rows")):
        for method, chain in chains.items():
            raw = config.model_dump(mode="json")
            raw |= {"selector": chain, "budget": budget, "name": "one"}
            result = run.select(Config.model_validate(raw), quiet())
            kept = choices.filter(choices[f"{method} at {label}"])["row_id"].to_pylist()
            assert kept == kept_ids(pq.read_table(result.folder.path / "ledger.parquet"))
            assert len(kept) == (5 if label == "10%" else 20)


def test_what_is_written(swept):
    config, done = swept
    folder = done.folder.path
    assert folder == Path(config.out) / "run-sweep"
    table = pq.read_table(folder / "sweep.parquet")
    assert len(table) == 2 * (4 + 3)
    assert table["method"].to_pylist()[:5] == [
        *("selection", "spread", "top long", "top rated"),
        "random",
    ]
    assert {"kept", "overlap.random", "jaccard.top long", "length.ratio", "fault.any"} <= set(
        table.column_names
    )
    assert json.loads((folder / "sweep.json").read_text()) == done.found
    assert "Budget 10%" in (folder / "sweep.html").read_text()
    own = next(line for line in table.to_pylist() if line["method"] == "selection")
    assert own["overlap.selection"] == own["jaccard.top long"] == 1


def test_it_is_computed_once_and_not_twice(swept):
    config, done = swept
    steps = done.folder.manifest["steps"]
    assert [step["name"] for step in steps] == ["length", "long", "rated"]
    again = sweep(config, quiet())
    assert again.was_done
    assert again.found == done.found
    other = sweep(config.model_copy(update={"seed": 1}), quiet())
    assert other.folder.path.name == "run-sweep-2"
    assert [step["computed"] for step in other.folder.manifest["steps"]] == [0, 0, 0]


def test_its_config_replays_it(swept):
    from tamis.pipeline.load import load

    _, done = swept
    again = sweep(load(str(done.folder.path / "config.yaml")), quiet())
    assert again.was_done
    assert again.folder.path == done.folder.path


def test_a_sweep_section_changes_no_run(tmp_path):
    plain, with_section = run_config(tmp_path), run_config(tmp_path, sweep=SWEEP)
    run.select(plain, quiet())
    assert run.select(with_section, quiet()).was_done


def test_faults_are_those_that_a_run_shows(swept):
    config, done = swept
    result = run.select(config.model_copy(update={"budget": BudgetConfig(rows=20)}), quiet())
    shown = result.manifest["faults"]
    lines = pq.read_table(done.folder.path / "sweep.parquet").to_pylist()
    here = {(x["method"], x["seed"]): x for x in lines if x["budget"] == "20 rows"}
    for name, seed in (("selection", None), ("top rated", None), ("random", 0)):
        for kind, share in zip((*shown["kinds"], "any"), shown["shares"][name], strict=True):
            assert here[name, seed][f"fault.{kind}"] == share


def test_methods_and_budgets(tmp_path):
    config = run_config(tmp_path)
    assert list(methods_of(config)) == ["selection", "top long", "top rated"]
    assert list(budgets_of(config)) == ["1%", "5%", "10%", "10 rows"]
    only = run_config(tmp_path, sweep={"by": ["rated.score"], "budgets": [{"answer_tokens": 5000}]})
    assert list(methods_of(only)) == ["selection", "top rated"]
    assert budgets_of(only) == {"5,000 answer tokens": BudgetConfig(answer_tokens=5000)}
    with pytest.raises(PlanError, match="nothing to compare"):
        methods_of(run_config(tmp_path, selector=[], scorers={}))
    taken = {"selectors": {"random": {"use": "random"}}}
    with pytest.raises(PlanError, match=r"sweep\.selectors\.random: choose another name"):
        methods_of(run_config(tmp_path, sweep=taken))


def test_a_method_that_keeps_nothing_is_named(tmp_path):
    none = {"selectors": {"none": [{"use": "threshold", "by": "long.score", "above": 1e9}]}}
    with pytest.raises(PlanError, match=r"none at 10 rows: nothing is kept"):
        sweep(run_config(tmp_path, sweep=none | {"budgets": [{"rows": 10}]}), quiet())


@pytest.mark.slow
def test_a_budget_in_answer_tokens(llama, tmp_path):
    budgets = [{"answer_tokens": 60}, {"rows": 10}]
    config = model_config(tmp_path, llama, sweep={"budgets": budgets, "seeds": 2})
    done = sweep(config, quiet())
    lines = pq.read_table(done.folder.path / "sweep.parquet").to_pylist()
    cost = {line["budget"]: line["cost"] for line in lines}
    assert cost == {"60 answer tokens": "base.answer_tokens", "10 rows": None}
    assert all(line["kept"] < 60 for line in lines)


@pytest.mark.slow
def test_where_a_signal_works_in_rounds(llama, tmp_path):
    """The own choice is settled for each budget; others by that score could be no run."""
    noisy = {"use": "neighbours", "model": str(llama), "copies": 4, "rounds": [2, 4]}
    config = run_config(
        tmp_path,
        n=24,
        signals={"noisy": noisy, "length": {"use": "length"}},
        scorers={"tshirt": {"use": "tshirt"}, "long": {"use": "length", "unit": "chars"}},
        selector={"use": "hierarchical", "limit": 9.0},
        sweep={"budgets": [{"rows": 3}, {"rows": 6}], "seeds": 2},
    )
    done = sweep(config, quiet())
    assert done.found["left_out"] == ["top tshirt"]
    rounds = [s["number"] for s in done.folder.manifest["steps"] if s["name"] == "noisy"]
    assert rounds.count(0) == rounds.count(1) == 2  # of each budget
    choices = pq.read_table(done.folder.path / "choices.parquet")
    for rows in (3, 6):
        own = config.model_copy(update={"budget": BudgetConfig(rows=rows), "name": f"own{rows}"})
        result = run.select(own, quiet())
        kept = choices.filter(choices[f"selection at {rows} rows"])["row_id"].to_pylist()
        assert kept == kept_ids(pq.read_table(result.folder.path / "ledger.parquet"))
    unasked = config.model_copy(update={"selector": [TopK(by="long.score")]})
    with pytest.raises(PlanError, match=r"--set signals\.noisy\.rounds=\[\]"):
        sweep(unasked, quiet())
