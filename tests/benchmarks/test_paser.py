import argparse
import json

from tamis.benchmarks.paser import Loop
from tamis.tests.tiny import alpaca, write_jsonl


def said(folder, **fields):
    given = {"model": "none", "template": "none", "data": str(folder / "all.jsonl"), "seed": 0}
    given |= {"rows": None, "held": 30, "validation": 20, "where": None, "work": folder}
    return argparse.Namespace(**(given | fields))


def texts(path):
    return [json.dumps(json.loads(line)) for line in path.read_text().splitlines()]


def test_rows_of_all_parts_go_to_one_place_each(tmp_path):
    rows = [row | {"output": f"{row['output']} {i}"} for i, row in enumerate(alpaca(2500))]
    write_jsonl(tmp_path / "all.jsonl", [*rows, *rows[:300]])
    assert Loop(said(tmp_path)).split()["held"] == 30
    held, validation, pool = (
        texts(tmp_path / f"{name}.jsonl") for name in ("held", "validation", "pool")
    )
    assert len(set(held)) == 30
    assert len(set(validation)) == 20
    assert len(set(pool)) == 2450
    assert {*held, *validation, *pool} == set(texts(tmp_path / "all.jsonl"))
    assert not set(held) & set(pool)
    assert not set(validation) & {*held, *pool}


def test_only_some_rows_are_held_out(tmp_path):
    rows = [
        row | {"output": f"{row['output']} {i}", "fault": "none" if i % 3 else "echo"}
        for i, row in enumerate(alpaca(300))
    ]
    write_jsonl(tmp_path / "all.jsonl", rows)
    sizes = Loop(said(tmp_path, where="fault=none", rows=200)).split()
    assert sizes == {"held": 30, "validation": 20, "pool": 150}
    kept = texts(tmp_path / "held.jsonl") + texts(tmp_path / "validation.jsonl")
    assert {json.loads(text)["fault"] for text in kept} == {"none"}
