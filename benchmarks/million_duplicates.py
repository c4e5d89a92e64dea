"""A million short rows through exact and near duplicates, in a whole run.

The rows are those of `duplicates.py`, as one Parquet file; of its copies a third have just the
words of their original, so that both signals have something to find. The run is one of the command
line, with two representatives after each other: of rows of the same text, then of nearly the same.

    python benchmarks/million_duplicates.py
    python benchmarks/million_duplicates.py --rows 20000 --engine local     # a trial of a minute

Memory is that of all processes together, as in `million.py`. Writes
benchmarks/results/million_duplicates.json, or what --out names.
"""

import argparse
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tamis.benchmarks.duplicates import drawn
from tamis.benchmarks.measuring import processor
from tamis.benchmarks.million import run

ROOT = Path(__file__).resolve().parent.parent
BLOCK = 50_000
SCHEMA = pa.schema([("instruction", pa.string()), ("output", pa.string()), ("copy", pa.bool_())])
CONFIG = """
name: duplicates
data: [{{name: pool, path: {pool}}}]
signals:
  exact: {{use: exact_duplicates}}
  minhash: {{use: minhash}}
  near: {{use: near_duplicates}}
selector:
  - {{use: representatives, column: exact.group}}
  - {{use: representatives, column: near.group}}
budget: {{fraction: 1.0}}
engine: {{kind: {engine}, workers: {workers}}}
report: {report}
"""


def make_pool(path: Path, n: int) -> int:
    """Write the pool, block by block; return how many rows are copies."""
    n_copies = 0
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for first in range(0, n, BLOCK):
            texts, copy_of = drawn(min(BLOCK, n - first), seed=first)
            split = [text.split(" ") for text in texts]
            columns = {
                "instruction": [" ".join(words[: len(words) // 3]) for words in split],
                "output": [" ".join(words[len(words) // 3 :]) for words in split],
                "copy": copy_of >= 0,
            }
            n_copies += int((copy_of >= 0).sum())
            writer.write_table(pa.table(columns, schema=SCHEMA))
    return n_copies


def main() -> None:
    """Make the pool, run, write."""
    parser = argparse.ArgumentParser(description="A million rows, without duplicates.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--engine", default="ray")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="draw the report as well")
    parser.add_argument("--folder", type=Path, default=Path("million"), help="of pool and store")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks/results/million_duplicates.json"
    )
    said = parser.parse_args()
    said.folder.mkdir(parents=True, exist_ok=True)
    pool = said.folder.absolute() / f"duplicates-{said.rows}.parquet"
    n_copies = make_pool(pool, said.rows)
    for name in ("store", "runs"):
        shutil.rmtree(said.folder / name, ignore_errors=True)
    config = said.folder / "duplicates.yaml"
    report = str(said.report).lower()
    fields = {"pool": pool, "engine": said.engine, "workers": said.workers, "report": report}
    config.write_text(CONFIG.format(**fields))
    load = os.getloadavg()[0]
    found = run(config)
    ledger = pq.read_table(
        said.folder / "runs/duplicates/ledger.parquet", columns=["step", "outcome"]
    )
    dropped = np.asarray(ledger["step"].filter(np.asarray(ledger["outcome"]) == "dropped"))
    store = sum(p.stat().st_size for p in (said.folder / "store").rglob("*") if p.is_file())
    record = {
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "rows": said.rows,
        "copies": n_copies,
        "engine": f"{said.engine}, {said.workers} workers",
        "load_before": load,
        "pool_gb": round(pool.stat().st_size / 1e9, 3),
        "store_gb": round(store / 1e9, 3),
        "exact_dropped": int((dropped == "representatives").sum()),
        "near_dropped": int((dropped == "representatives-2").sum()),
        **found,
    }
    said.out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
