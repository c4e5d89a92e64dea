"""Test items planted into a pool: which of them the filters find, and what else they find.

Of a test set some items are drawn and put among the rows of a pool, in four forms: as they are; in
another form (capitals, white space, punctuation); the question alone, with an answer of ours; the
answer alone, after a question of ours. Then a run with `contamination`, and beside it
`fuzzy_contamination` of both sides.

    python benchmarks/contamination.py --pool alpaca.json gsm8k-train.jsonl --test gsm8k-test.jsonl

Writes benchmarks/results/contamination.json, or what --out names: how many of each form are found,
and every other row that is dropped, with its item.
"""

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import tamis
from tamis.benchmarks.measuring import write
from tamis.benchmarks.targeted import Rows, read

FORMS = {"verbatim": 20, "other form": 10, "question": 10, "answer": 10}
OURS = ("What do you think of this?", "I would have to think about that.")
PLANTED = "planted"  # the source of the planted rows


def in_other_form(text: str) -> str:
    """Return a text in capitals, with other white space and without its punctuation."""
    words = "".join(c if c.isalnum() or c.isspace() else " " for c in text).upper().split()
    return "  ".join(words) + " !"


def planted(items: Rows, seed: int) -> tuple[Rows, list[int], list[str]]:
    """Return rows to plant, the item of each, and its form."""
    drawn = random.Random(seed).sample(range(len(items)), sum(FORMS.values()))
    forms = [form for form, count in FORMS.items() for _ in range(count)]
    rows = []
    for place, form in zip(drawn, forms, strict=True):
        question, answer = items[place]["question"], items[place]["answer"]
        if form == "other form":
            question, answer = in_other_form(question), in_other_form(answer)
        elif form == "question":
            answer = OURS[1]
        elif form == "answer":
            question = OURS[0]
        rows.append({"question": question, "answer": answer})
    return rows, drawn, forms


def config_of(pool: list[str], test: str, folder: Path, n: int) -> dict[str, Any]:
    """Return the config of the run, whose last source are the planted rows."""
    data = [{"name": f"pool-{number}", "path": path} for number, path in enumerate(pool)]
    both = {"use": "fuzzy_contamination", "target": "test", "side": "both", "n": n}
    return {
        "name": "contamination",
        "data": [*data, {"name": PLANTED, "path": str(folder / "planted.jsonl")}],
        "targets": {"test": {"path": test}},
        "filters": {
            "held_out": {"use": "contamination", "target": "test", "n": n},
            "fuzzy": both,
        },
        "engine": {"kind": "local"},
        "report": False,
        "store": str(folder / "store"),
        "out": str(folder / "runs"),
    }


def measured(pool: list[str], test: str, folder: Path, n: int = 8, seed: int = 0) -> dict[str, Any]:
    """Plant, run, and return what each filter found."""
    rows, items, forms = planted(read(test), seed)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "planted.jsonl").write_text(lines, "utf-8")
    began = time.monotonic()
    run = tamis.select(config_of(pool, test, folder, n), quiet=True)
    seconds = time.monotonic() - began
    ledger = run.ledger.to_pylist()
    own = [line for line in ledger if line["source"] == PLANTED]
    found: dict[str, Any] = {"rows": len(ledger), "seconds": round(seconds, 1)}
    texts = {"held_out": "coverage", "fuzzy": "ratio"}
    for name, measure in texts.items():
        right = {form: [0, 0] for form in FORMS}
        for line, item, form in zip(own, items, forms, strict=True):
            right[form][0] += line[f"{name}.reason"] == f"contaminated: test item {item}"
            right[form][1] += 1
        others = [
            {"row": line["row_id"], "source": line["source"], "item": line[f"{name}.item"]}
            | {measure: round(line[f"{name}.{measure}"], 3)}
            | {"match": line["held_out.match"]}
            for line in ledger
            if line["source"] != PLANTED and line[f"{name}.reason"]
        ]
        others.sort(key=lambda other: -other[measure])
        planted_found = {form: f"{hit} of {count}" for form, (hit, count) in right.items()}
        found[name] = {"planted": planted_found, "others": others}
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Planted test items, and what else is found.")
    parser.add_argument("--pool", nargs="+", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(said.pool, said.test, Path(folder), said.n, said.seed)
    for name in ("held_out", "fuzzy"):
        print(name, found[name]["planted"])
        for other in found[name]["others"]:
            print("  also:", other)
    record = {"n": said.n, "seed": said.seed} | found
    write("contamination", said.out, record)


if __name__ == "__main__":
    main()
