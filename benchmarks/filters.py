"""Rows per second of processor time of each filter, beside only splitting the answers into words.

    python benchmarks/filters.py --data my.jsonl      # by default the embedded pool

The baseline is what any filter of texts must do at least: take the messages out of Arrow, and split
the answers at white space. Writes benchmarks/results/filters.json, or what --out names.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
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


def seconds(work: Callable[[pa.Table], object], rows: pa.Table, tries: int) -> float:
    """Return the least processor time of some tries, after one that does not count."""
    work(rows.slice(0, 100))
    times = []
    for _ in range(tries):
        begun = time.process_time()
        work(rows)
        times.append(time.process_time() - begun)
    return min(times)


def measure(path: str, tries: int) -> dict[str, object]:
    """Return rows per second of every filter, and of the baseline."""
    parts = ingest([(Source(name="pool", path=path), "")], part_rows=1 << 30, max_chars=10**6)
    rows = pa.concat_tables([rows_table(part) for part in parts], promote_options="default")
    words = sum(len(text.split()) for texts in texts_of(rows, "answer") for text in texts)
    speeds = {"split at white space": len(rows) / seconds(split, rows, tries)}
    for name, own in FILTERS.items():
        speeds[name] = len(rows) / seconds(own, rows.select(own.reads.names), tries)
        print(f"{name:22} {speeds[name]:10,.0f} rows/s")
    return {
        "date": date.today().isoformat(),
        "machine": f"{platform.processor() or platform.machine()}, one core",
        "rows": len(rows),
        "words_per_answer": round(words / len(rows), 1),
        "rows_per_s": {name: round(speed) for name, speed in speeds.items()},
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
