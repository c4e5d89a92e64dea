"""How little the filters take from real data: the figures of docs/methods/filters.md."""

import json
from collections import Counter

import pyarrow as pa
import pytest
from tamis.stages.filters.echo import Echo
from tamis.stages.filters.language import Language
from tamis.stages.filters.refusals import Refusals
from tamis.stages.filters.repetition import Repetition
from tamis.stages.filters.sft import Sft
from tamis.tests.stages.filters.rows import reasons, rows

pytestmark = pytest.mark.shared
FILTERS = {
    "sft": Sft(),
    "unfinished": Sft(unfinished=7),
    "repetition": Repetition(),
    "echo": Echo(),
    "copied": Echo(copied_input=True),
    "language": Language(keep=("en",)),
    "refusals": Refusals(),
}
SFT = {"mixed_characters": 7, "letter_pairs": 2, "min_characters": 4}  # 4 answers are empty
EXPECTED = {
    "alpaca-9k.json": {
        "sft": SFT,
        "unfinished": SFT | {"unfinished": 66},
        "echo": {"echo": 1},
        "copied": {"copied_input": 13, "echo": 1},
        "language": {"language": 2},
        "refusals": {"placeholder": 13, "filler": 2},
    },
    "dolly-3k.json": {
        "unfinished": {"unfinished": 300},
        "echo": {"echo": 1},
        "copied": {"copied_input": 3, "echo": 1},
        "refusals": {"model": 1},
    },
    "gsm8k-train.jsonl": {},
    "genmed-5k.json": {"unfinished": {"unfinished": 2}, "refusals": {"model": 1}},
}


def read(path) -> pa.Table:
    text = path.read_text()
    found = map(json.loads, text.splitlines()) if path.suffix == ".jsonl" else json.loads(text)
    turns, starts = [], []
    for row in found:
        said, given = row.get("instruction", row.get("question")), row.get("input", "")
        turns.append([f"{said}\n{given}" if given else said, row.get("output", row.get("answer"))])
        starts.append(len(said) + 1 if given else None)
    return rows(*turns, starts=starts)


@pytest.mark.parametrize("name", EXPECTED)
def test_rows_that_each_rule_drops(shared, name):
    table = read(shared / "data" / name)
    found = {
        own: dict(Counter(reason for reason in reasons(one, table) if reason))
        for own, one in FILTERS.items()
    }
    assert {own: counts for own, counts in found.items() if counts} == EXPECTED[name]
