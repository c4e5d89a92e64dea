"""DSIR, TSDS and GOT-D as whole runs: pool and targets together."""

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tamis.pipeline.run import select
from tamis.tests.runs import digest, model_config, quiet, run_config
from tamis.tests.tiny import write_jsonl

SUMS = [{"instruction": f"Add {i} and {i + 1}.", "output": f"{2 * i + 1}"} for i in range(30)]
CITIES = [
    {"instruction": f"Name city {i}.", "output": f"Paris or Rome, town {i}"} for i in range(30)
]


def config(folder, **fields):
    targets = {"sums": SUMS[:3], "cities": CITIES[:6]}
    for name, rows in targets.items():
        write_jsonl(folder / f"{name}.jsonl", rows)
    base = {
        "data": [{"name": "pool", "path": str(write_jsonl(folder / "p.jsonl", SUMS + CITIES))}],
        "targets": {name: {"path": str(folder / f"{name}.jsonl")} for name in targets},
        "signals": {"ngrams": {"use": "ngrams"}},
        "scorers": {"dsir": {"use": "dsir", "target": "sums"}},
        "selector": [{"use": "sample", "by": "dsir.score"}],
        "budget": {"rows": 9},
    }
    return run_config(folder, **(base | fields))


def ledger(result):
    return pq.read_table(result.folder.path / "ledger.parquet")


def test_dsir_chooses_what_is_like_the_target(tmp_path):
    found = ledger(select(config(tmp_path), quiet()))
    kept = found.filter(pc.equal(found["outcome"], "kept"))
    assert max(kept["row_id"].to_pylist()) < 30
    assert found["dsir.status"].to_pylist() == ["ok"] * 60  # short as they are


def test_several_targets_share_the_budget_by_size(tmp_path):
    scorer = {"use": "dsir", "target": ["sums", "cities"], "separate": True}
    selector = [{"use": "sample", "by": "dsir.by_target"}]
    made = config(tmp_path, scorers={"dsir": scorer}, selector=selector)
    found = ledger(select(made, quiet()))
    kept = found.filter(pc.equal(found["outcome"], "kept")).to_pylist()
    drawn = {"target: sums": set(), "target: cities": set()}
    for row in kept:
        drawn[row["reason"]].add(row["row_id"] < 30)
    assert drawn == {"target: sums": {True}, "target: cities": {False}}
    # n-grams: 3 texts of 7 tokens, 13 each; 6 of 10 tokens, 19 each
    assert sum(row["reason"] == "target: sums" for row in kept) == round(9 * 39 / (39 + 114))


def test_another_target_or_pool_gives_other_weights(tmp_path):
    first = ledger(select(config(tmp_path), quiet()))["dsir.score"].to_pylist()
    scorers = {"dsir": {"use": "dsir", "target": "cities"}}
    other = ledger(select(config(tmp_path, scorers=scorers, name="b"), quiet()))
    assert other["dsir.score"].to_pylist() != first
    again = config(tmp_path, name="c", store=str(tmp_path / "s"), part_rows=7)
    assert ledger(select(again, quiet()))["dsir.score"].to_pylist() == first


@pytest.mark.slow
def test_engines_leave_the_same_bytes(tmp_path):
    left = []
    for kind, workers in (("local", 1), ("ray", 2)):
        folder = tmp_path / kind
        folder.mkdir()
        made = config(folder, engine={"kind": kind, "workers": workers})
        left.append(digest(select(made, quiet()).folder.path))
    assert left[0] == left[1]


@pytest.mark.slow
@pytest.mark.parametrize("use", ["tsds", "got_d"])
def test_by_embeddings(use, tmp_path, gpt2):
    from_dsir = config(tmp_path)
    targets = {"targets": {"sums": {"path": str(tmp_path / "sums.jsonl")}}}
    made = model_config(
        tmp_path,
        gpt2,
        data=[{"name": "pool", "path": from_dsir.data[0].path}],
        scorers={"it": {"use": use, "target": "sums"}},
        selector=[{"use": "sample", "by": "it.score"}],
        budget={"rows": 5},
        **targets,
    )
    result = select(made, quiet())
    found = ledger(result)
    assert result.manifest["rows_kept"] == 5
    known = set(found["it.status"].to_pylist())
    assert known <= {"ok", "not_reached"}
    again = made.model_copy(update={"name": "again", "store": str(tmp_path / "s"), "part_rows": 7})
    other = ledger(select(again, quiet()))
    assert other["it.score"].to_numpy() == pytest.approx(
        found["it.score"].to_numpy(), abs=1e-5, nan_ok=True
    )


@pytest.mark.shared
def test_dsir_on_a_real_pool(shared, tmp_path):
    """Of Alpaca and GSM8K together, 45 % of it of the latter, with other rows of it as the target.

    With few of them the n-grams that the target lacks decide, and the short rows come first.
    """
    data = shared / "data"
    found = {}
    for limit, pseudo_count in ((50, 0.0), (300, 0.0), (300, 1.0), (1319, 0.0)):
        fields = {
            "name": f"run-{limit}-{pseudo_count:.0f}",
            "data": [
                {"name": "alpaca", "path": str(data / "alpaca-9k.json")},
                {"name": "gsm8k", "path": str(data / "gsm8k-train.jsonl")},
            ],
            "targets": {"exam": {"path": str(data / "gsm8k-test.jsonl"), "limit": limit}},
            "signals": {"ngrams": {"use": "ngrams"}},
            "scorers": {"dsir": {"use": "dsir", "target": "exam", "pseudo_count": pseudo_count}},
            "selector": [{"use": "sample", "by": "dsir.score"}],
            "budget": {"rows": 5000},
            "part_rows": 1024,
        }
        kept = ledger(select(run_config(tmp_path, **fields), quiet()))
        kept = kept.filter(pc.equal(kept["outcome"], "kept"))
        share = pc.mean(pc.equal(kept["source"], "gsm8k").cast("int8")).as_py()
        print(f"{limit} rows, pseudo-count {pseudo_count}: {share:.1%} of 5,000 are of GSM8K")
        found[limit, pseudo_count] = share
    assert found[1319, 0] > 0.99
    assert found[300, 1] > 0.9
    assert found[50, 0] < 0.4
