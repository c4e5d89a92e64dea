"""T-SHIRT with a real model in whole runs: engines, kills, batch budgets, rounds, tokens."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_from_disk
from tamis.errors import ConfigError, DataError
from tamis.pipeline.agreement import agreement
from tamis.pipeline.run import select
from tamis.pipeline.token_view import token_view
from tamis.tests.runs import digest, kill_at, model_config, quiet, run_config

N = 40


def config_of(folder, model, engine=None, budget=6, **fields):
    folder.mkdir(exist_ok=True)
    signal_block = {"use": "neighbours", "model": str(model), "dtype": "fp32", "copies": 8}
    return model_config(
        folder,
        model,
        N,
        signals={"noisy": signal_block | {"rounds": [2, 4, 8]} | fields},
        scorers={"tshirt": {"use": "tshirt"}, "wide": {"use": "tshirt", "k": 75}},
        selector=[{"use": "hierarchical", "limit": 10.0, "confidence": 0.9}],
        budget={"rows": budget},
        engine=engine or {"kind": "local"},
    )


def kept(result):
    ledger = pq.read_table(result.folder.path / "ledger.parquet").to_pylist()
    return {row["row_id"] for row in ledger if row["outcome"] == "kept"}


@pytest.fixture(scope="module")
def run(tmp_path_factory, gpt2):
    return select(config_of(tmp_path_factory.mktemp("local"), gpt2), quiet())


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_ray_gives_the_bytes_of_the_local_engine(tmp_path, gpt2, run, workers):
    engine = {"kind": "ray", "workers": workers}
    result = select(config_of(tmp_path, gpt2, engine), quiet())
    assert digest(result.folder.path) == digest(run.folder.path)
    assert result.manifest["rounds"] == run.manifest["rounds"]


def test_a_kill_in_a_later_round_loses_nothing_that_was_finished(tmp_path, gpt2, run):
    config = config_of(tmp_path, gpt2)
    later = "store/neighbours-*/copies-2-4/*/*.parquet"
    kill_at(later, config, tmp_path)
    assert list(tmp_path.glob(later))
    result = select(config, quiet())
    if not result.was_done:
        assert result.manifest["steps"][0]["computed"] == 0  # the first round
    assert digest(result.folder.path) == digest(run.folder.path)


@pytest.mark.parametrize("batch_tokens", [64, 100_000])
def test_other_batch_budgets_keep_the_same_rows(tmp_path, gpt2, run, batch_tokens):
    result = select(config_of(tmp_path, gpt2, batch_tokens=batch_tokens), quiet())
    assert kept(result) == kept(run)


def test_another_budget_computes_only_what_it_doubts_anew(tmp_path, gpt2, run):
    first = select(config_of(tmp_path, gpt2), quiet())
    second = select(config_of(tmp_path, gpt2, budget=12), quiet())
    fresh = select(config_of(tmp_path / "fresh", gpt2, budget=12), quiet())
    assert kept(second) == kept(fresh)
    rows = [sum(step["rows"] for step in r.manifest["steps"]) for r in (second, fresh)]
    assert rows[0] < rows[1]
    assert second.manifest["rounds"] == fresh.manifest["rounds"]
    assert kept(first) == kept(run)


def test_agreement_is_with_one_round_of_everything(tmp_path, gpt2):
    found = agreement(config_of(tmp_path, gpt2), quiet())
    some = select(config_of(tmp_path, gpt2), quiet())
    every = select(config_of(tmp_path, gpt2, rounds=[]), quiet())
    assert found.same == len(kept(some) & kept(every))
    assert found.kept == 6
    # what the rounds show of a row is what the run had, and not what was made for the comparison
    ledger = pq.read_table(some.folder.path / "ledger.parquet").to_pylist()
    view = token_view(str(some.folder.path), 7)
    assert view.copies == ledger[7]["tshirt.copies"]


def test_copies_are_counted(tmp_path, gpt2):
    found = agreement(config_of(tmp_path, gpt2), quiet())
    assert found.of == 8 * (N - 1)  # one row is rejected
    assert 2 * (N - 1) < found.took < found.of


def test_a_selection_without_rounds_has_all_copies(tmp_path, gpt2):
    result = select(config_of(tmp_path, gpt2, rounds=[]), quiet())
    assert "rounds" not in result.manifest
    assert len(kept(result)) == 6


def test_tokens_of_a_row(run, gpt2):
    ledger = pq.read_table(run.folder.path / "ledger.parquet").to_pylist()
    folder = str(run.folder.path)
    for scorer in ("tshirt", "wide"):
        view = token_view(folder, 7, scorer)
        assert view.score == ledger[7][f"{scorer}.score"]
        assert view.outcome == ledger[7]["outcome"]
        assert "".join(token.text for token in view.tokens).strip()
        counted = np.array([token.counted for token in view.tokens])
        assert ((counted >= 0) & (counted <= 1)).all()
    assert view.copies in (2, 4, 8)
    assert token_view(folder, 7).threshold > view.threshold  # k 50 counts fewer than k 75
    rows = load_from_disk(str(run.folder.path / "curated/arrow/train"))
    answer = rows[0]["messages"][-1]["content"]
    text = "".join(token.text for token in token_view(folder, rows[0]["row_id"]).tokens)
    assert answer.endswith(text)  # without a BOS the first token has no loss
    assert len(answer) - len(text) < 20
    assert json.loads(json.dumps(view.as_json()))["row_id"] == 7


def test_a_damaged_round_is_made_again(tmp_path, gpt2, run):
    config = config_of(tmp_path, gpt2)
    select(config, quiet())
    for path in (tmp_path / "store").glob("neighbours-*/copies-2-4/*/*.parquet"):
        path.write_bytes(path.read_bytes()[:-40])
    assert agreement(config, quiet()).kept == 6
    again = select(config, quiet(), overwrite=True)
    assert digest(again.folder.path) == digest(run.folder.path)


def test_rows_without_tokens_say_why(tmp_path, gpt2):
    rows = [{"instruction": "word " * 600, "input": "", "output": "An answer."}]
    rows += [{"instruction": f"Count {i}", "input": "", "output": f"one two {i}"} for i in range(8)]
    (tmp_path / "pool-40.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = select(config_of(tmp_path, gpt2, budget=2), quiet())
    with pytest.raises(DataError, match="row 0 has no tokens to compare: its status"):
        token_view(str(result.folder.path), 0)
    assert result.manifest["rounds"]["of"] == 8 * 8


def test_tokens_that_cannot_be_shown(run, tmp_path):
    folder = str(run.folder.path)
    with pytest.raises(ConfigError, match="not the folder of a finished run"):
        token_view(str(tmp_path), 1)
    with pytest.raises(ConfigError, match="'narrow' is no `tshirt` scorer of the run"):
        token_view(folder, 1, "narrow")
    with pytest.raises(DataError, match="no row 40 in this run; there are 0 to 39"):
        token_view(folder, 40)
    with pytest.raises(DataError, match="row 5 was rejected as it was read: empty answer"):
        token_view(folder, 5)
    plain = select(run_config(tmp_path), quiet())
    with pytest.raises(ConfigError, match="has no `tshirt` scorer"):
        token_view(str(plain.folder.path), 1)
