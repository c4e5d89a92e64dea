"""Rows per second of processor time of each filter, beside only splitting the answers into words.

    python benchmarks/filters.py --data my.jsonl      # by default the embedded pool

The baseline is what any filter of texts must do at least: take the messages out of Arrow, and split
the answers at white space. Median, least and most over the tries; a thread. Writes
benchmarks/results/filters.json, or what --out names.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
from tamis.benchmarks.measuring import processor
from tamis.stages.filters.base import Filter
from tamis.stages.filters.echo import Echo
from tamis.stages.filters.language import Language
from tamis.stages.filters.refusals import Refusals
from tamis.stages.filters.repetition import Repetition
from tamis.stages.filters.sft import Sft
from tamis.stages.ingest import ingest, rows_table
from tamis.stages.sides import texts_of
from tamis.stages.source import Source
from tamis.stages.text_rules import RULES

ROOT = Path(__file__).resolve().parent
POOL = ROOT.parent / "configs" / "quickstart" / "pool.jsonl"
FILTERS: dict[str, Filter] = {
    "sft": Sft(),
    "sft, every rule": Sft(from_words=0, **dict.fromkeys(RULES, 1.0)),  # type: ignore[arg-type]
    "repetition": Repetition(),
    "echo": Echo(),
    "language": Language(keep=("en",)),
    "refusals": Refusals(),
}


def split(rows: pa.Table) -> None:
    """Split every answer at white space: the baseline."""
    for texts in texts_of(rows, "answer"):
        for text in texts:
            text.split()


def speed(work: Callable[[pa.Table], object], rows: pa.Table, tries: int) -> dict[str, int]:
    """Return rows per second of processor time, after a try that does not count."""
    work(rows.slice(0, 100))
    speeds = []
    for _ in range(tries):
        begun = time.process_time()
        work(rows)
        speeds.append(len(rows) / (time.process_time() - begun))
    found = {"median": statistics.median(speeds), "least": min(speeds), "most": max(speeds)}
    return {name: round(value) for name, value in found.items()}


def measure(path: str, tries: int) -> dict[str, object]:
    """Return rows per second of every filter, and of the baseline."""
    parts = ingest([(Source(name="pool", path=path), "")], part_rows=1 << 30, max_chars=10**6)
    rows = pa.concat_tables([rows_table(part) for part in parts], promote_options="default")
    words = sum(len(text.split()) for texts in texts_of(rows, "answer") for text in texts)
    speeds = {"split at white space": speed(split, rows, tries)}
    for name, own in FILTERS.items():
        speeds[name] = speed(own, rows.select(own.reads.names), tries)
        print(f"{name:22} {speeds[name]['median']:10,} rows/s")
    return {
        "date": date.today().isoformat(),
        "machine": f"{processor()}, one thread",
        "tries": tries,
        "rows": len(rows),
        "words_per_answer": round(words / len(rows), 1),
        "rows_per_s": speeds,
    }


def main() -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=str(POOL))
    parser.add_argument("--tries", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "filters.json")
    given = parser.parse_args()
    found = measure(given.data, given.tries)
    given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"written to {given.out}")


if __name__ == "__main__":
    main()
