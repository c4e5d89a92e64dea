"""Planted duplicates in the embedded pool: which of them each signal finds, and what else.

The pool has 214 rows twice (`duplicated`). Beside them copies of other sound rows are planted, 100
of each kind: in another form (capitals, white space, a full stop more), with one word changed, and
with a sentence added. Each signal is a whole run that keeps the first row of every group.

recall     of each kind, the share of the copies that are in the group of their original
precision  the share of the dropped rows whose representative has the same original

    python benchmarks/planted_duplicates.py
    python benchmarks/planted_duplicates.py --without-model      # seconds

Writes benchmarks/results/planted_duplicates.json, or what --out names.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tamis
from tamis.benchmarks.measuring import write

QUICKSTART = Path(__file__).resolve().parent.parent / "configs" / "quickstart"
EACH = 100  # copies of a kind
ADDED = "Please let me know whether that was of help to you."
OTHER = ("table", "green", "seven", "quickly", "river")
Row = dict[str, Any]

MINHASH: Row = {"minhash": {"use": "minhash"}, "found": {"use": "near_duplicates"}}
SHORT: Row = {
    "minhash": {"use": "minhash", "n": 2, "bands": 28, "hashes": 4},
    "found": {"use": "near_duplicates", "threshold": 0.75},
}
VECTORS: Row = {
    "base": {"use": "forward", "model": str(QUICKSTART / "model"), "template": "none"},
    "clusters": {"use": "clusters", "of": "base.embedding", "k": 10, "seed": 0},
    "found": {"use": "semantic_duplicates", "of": "base.embedding", "threshold": 0.99},
}
SIGNALS: dict[str, Row] = {
    "exact_duplicates": {"found": {"use": "exact_duplicates"}},
    "near_duplicates": MINHASH,
    "near_duplicates, n: 2": SHORT,
    "semantic_duplicates": VECTORS,
}


def in_other_form(rng: random.Random, text: str) -> str:
    """Return a text in capitals, with more white space."""
    return "  ".join(text.upper().split()) + " "


def with_another_word(rng: random.Random, text: str) -> str:
    """Return a text with one word replaced."""
    words = text.split()
    words[rng.randrange(len(words))] = rng.choice(OTHER)
    return " ".join(words)


def with_a_sentence(rng: random.Random, text: str) -> str:
    """Return a text with a sentence after it."""
    return f"{text} {ADDED}"


KINDS = {
    "another form": in_other_form,
    "another word": with_another_word,
    "a sentence more": with_a_sentence,
}


def planted(seed: int = 0) -> tuple[list[Row], list[int], list[str]]:
    """Return the rows, the original of each by its place, and its kind of copy or `none`."""
    rng = random.Random(seed)
    lines = (QUICKSTART / "pool.jsonl").read_text("utf-8").splitlines()
    rows: list[Row] = [json.loads(line) for line in lines]
    first: dict[tuple[str, ...], int] = {}
    origin = [
        first.setdefault((r["instruction"], r["input"], r["output"]), place)
        for place, r in enumerate(rows)
    ]
    kinds = ["duplicated" if origin[place] != place else "none" for place in range(len(rows))]
    twice = set(origin[place] for place, kind in enumerate(kinds) if kind != "none")
    sound = [
        place
        for place, row in enumerate(rows)
        if row["fault"] == "none" and kinds[place] == "none" and place not in twice
    ]
    drawn = rng.sample(sound, EACH * len(KINDS))
    for number, (kind, change) in enumerate(KINDS.items()):
        for place in drawn[number * EACH : (number + 1) * EACH]:
            answer = change(rng, rows[place]["output"])
            rows.append(rows[place] | {"output": answer})
            origin.append(place)
            kinds.append(kind)
    return rows, origin, kinds


def measured(
    signals: Row, pool: Path, folder: Path, origin: Sequence[int], kinds: Sequence[str]
) -> Row:
    """Run, and return recall and precision."""
    run = tamis.select(
        {
            "name": "planted",
            "data": [{"name": "pool", "path": str(pool)}],
            "signals": signals,
            "selector": {"use": "representatives", "column": "found.group"},
            "budget": {"fraction": 1.0},
            "engine": {"kind": "local"},
            "report": False,
            "store": str(folder / "store"),
            "out": str(folder / "runs"),
        },
        quiet=True,
    )
    dropped = {
        line["row_id"]: int(line["reason"].rpartition(" ")[2])
        for line in run.ledger.to_pylist()
        if line["outcome"] == "dropped"
    }
    right = {row for row, of in dropped.items() if origin[row] == origin[of]}
    groups = [
        name for part in run.tables(["found.group"]) for name in part["found.group"].to_pylist()
    ]
    found: dict[str, list[bool]] = {}
    for place, kind in enumerate(kinds):
        if kind != "none":
            found.setdefault(kind, []).append(groups[place] == groups[origin[place]])
    return {
        "recall": {kind: round(sum(own) / len(own), 3) for kind, own in found.items()},
        "dropped": len(dropped),
        "precision": round(len(right) / max(len(dropped), 1), 3),
    }


def main() -> None:
    """Plant, measure, print and write."""
    parser = argparse.ArgumentParser(description="Planted duplicates: recall and precision.")
    parser.add_argument("--without-model", action="store_true")
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    rows, origin, kinds = planted()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.jsonl"
        pool.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        for name, signals in SIGNALS.items():
            if said.without_model and "base" in signals:
                continue
            results[name] = measured(signals, pool, Path(folder), origin, kinds)
            print(name, results[name], flush=True)
    write("planted_duplicates", said.out, {"each": EACH, "results": results})


if __name__ == "__main__":
    main()
