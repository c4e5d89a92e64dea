"""Duplicates and test items in whole runs: what is dropped and why, on any engine, in any order."""

import json
import random

import pytest
from tamis.benchmarks import duplicates
from tamis.benchmarks.planted_duplicates import MINHASH, SIGNALS, measured, planted
from tamis.pipeline.explain import explain
from tamis.pipeline.finished import open_run
from tamis.pipeline.run import select
from tamis.tests.runs import digest, quiet, run_config
from tamis.tests.tiny import write_jsonl


def long(i):
    return " ".join(f"word{i}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz" * 2)


ROWS = [
    *({"instruction": long(i), "output": f"answer {i}"} for i in range(8)),
    {"instruction": long(0).upper(), "output": "Answer  0"},  # 8: as 0
    {"instruction": f"Please: {long(0)}", "output": "answer 0"},  # 9: nearly 0
    {"instruction": "Say:", "output": "this stands in the exam word for word as it is here"},  # 10
    *({"instruction": f"{i}", "output": f"{i}"} for i in range(11, 16)),
]
EXAM = [{"instruction": "Q", "output": "This stands in the exam, word for word, as it is here."}]


def config_of(folder, rows=ROWS, **fields):
    folder.mkdir(exist_ok=True)
    write_jsonl(folder / "mine.jsonl", rows)
    write_jsonl(folder / "exam.jsonl", EXAM)
    own = {
        "data": [{"name": "pool", "path": str(folder / "mine.jsonl")}],
        "part_rows": 4,
        "targets": {"exam": {"path": str(folder / "exam.jsonl")}},
        "signals": {
            "length": {"use": "length"},
            "exact": {"use": "exact_duplicates"},
            **{"minhash": MINHASH["minhash"], "near": MINHASH["found"]},
        },
        "filters": {"held_out": {"use": "contamination", "target": "exam"}},
        "scorers": {"long": {"use": "length", "unit": "chars"}},
        "selector": [
            {"use": "representatives", "column": "exact.group"},
            {"use": "representatives", "column": "near.group"},
        ],
        "budget": {"fraction": 1.0},
    }
    return run_config(folder, 6, **(own | fields))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return select(config_of(tmp_path_factory.mktemp("local")), quiet())


def test_every_dropped_row_says_why(run):
    lines = open_run(str(run.folder.path)).ledger.to_pylist()
    dropped = {line["row_id"]: line["reason"] for line in lines if line["outcome"] == "dropped"}
    assert dropped == {
        **{8: "duplicate: row 0", 9: "duplicate: row 0"},
        10: "contaminated: exam item 0",
    }
    assert lines[10]["held_out.coverage"] == 1.0 and lines[0]["held_out.coverage"] is None


def test_explained_in_words(run):
    finished = open_run(str(run.folder.path))
    said = explain(finished, 8).verdict.why
    assert said == "duplicate: row 0: row 0 of the same group comes before it and passes"
    said = explain(finished, 10).verdict.why
    assert said.endswith("a test set holds too much of it: exam item 0, counted from 0")


def test_the_order_of_rows_changes_no_choice_by_score(tmp_path, run):
    rows = random.Random(0).sample(ROWS, len(ROWS))
    by_score = [{"use": "representatives", "column": "near.group", "by": "long.score"}]
    kept = [
        sorted(open_run(str(select(config, quiet()).folder.path)).kept["sample_id"].to_pylist())
        for config in (
            config_of(tmp_path / "a", selector=by_score),
            config_of(tmp_path / "b", rows, selector=by_score),
        )
    ]
    assert kept[0] == kept[1]


@pytest.mark.slow
def test_ray_gives_the_bytes_of_the_local_engine(tmp_path, run):
    config = config_of(tmp_path, engine={"kind": "ray", "workers": 2})
    assert digest(select(config, quiet()).folder.path) == digest(run.folder.path)


def test_the_index_is_made_once(tmp_path):
    """A second run with more rows finds what was aimed at the test set in the store."""
    select(config_of(tmp_path, selector=[{"use": "random"}]), quiet())
    (state,) = (tmp_path / "store").glob("contamination-*/fitted*")
    before = state.stat().st_mtime_ns
    more = [*ROWS, {"instruction": "one", "output": "more"}]
    config = config_of(tmp_path, more, selector=[{"use": "random"}], name="more")
    result = select(config, quiet())
    steps = {step["name"]: step for step in result.manifest["steps"]}
    assert state.stat().st_mtime_ns == before and steps["held_out"]["computed"] == 1


def test_the_same_groups_as_datasketch():
    record = duplicates.measured(1200, 1)
    assert record["same_groups"]
    ours, theirs = (record["results"][name] for name in ("tamis", "same hashes"))
    assert ours["recall"] == theirs["recall"] > 0.7


@pytest.mark.slow
def test_planted_in_the_embedded_pool(tmp_path, capsys):
    """What the pool has twice, copies in another form, with another word, with a sentence more."""
    rows, origin, kinds = planted()
    pool = tmp_path / "pool.jsonl"
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    found = {
        name: measured(signals, pool, tmp_path, origin, kinds)
        for name, signals in SIGNALS.items()
        if "base" not in signals
    }
    with capsys.disabled():
        for name, own in found.items():
            print(f"\n{name}: {own}")
    exact, near = found["exact_duplicates"], found["near_duplicates"]
    assert exact["precision"] == 1.0
    assert exact["recall"]["duplicated"] == exact["recall"]["another form"] == 1.0
    assert near["recall"]["duplicated"] == near["recall"]["another form"] == 1.0
    assert near["recall"]["another word"] > 0.4 and near["precision"] > 0.9
    assert found["near_duplicates, n: 2"]["recall"]["another word"] > 0.8


@pytest.mark.slow
def test_by_vectors(tmp_path, gpt2):
    """A copy of row 0 in another place, and an item that is row 3 word for word."""
    base = {"use": "forward", "model": str(gpt2), "dtype": "fp32", "template": "none"}
    own = config_of(
        tmp_path,
        [*ROWS[:7], ROWS[0]],
        signals={
            "base": base,
            "clusters": {"use": "clusters", "of": "base.embedding", "k": 1},
            "like": {"use": "semantic_duplicates", "of": "base.embedding", "threshold": 0.99999},
        },
        filters={
            "near": {
                **{"use": "embedding_contamination", "target": "exam", "of": "base.embedding"},
                "threshold": 0.99999,
            }
        },
        scorers={},
        selector=[
            {"use": "representatives", "column": "like.group"},
            {"use": "sem_dedup", "of": "base.embedding", "threshold": 0.99999},
        ],
    )
    write_jsonl(tmp_path / "exam.jsonl", [ROWS[3]])
    lines = open_run(str(select(own, quiet()).folder.path)).ledger.to_pylist()
    dropped = {line["row_id"]: line["reason"] for line in lines if line["outcome"] == "dropped"}
    assert dropped == {3: "contaminated: exam item 0", 7: "duplicate: row 0"}
    assert lines[0]["near.similarity"] is not None and lines[3]["near.items"] == 1
