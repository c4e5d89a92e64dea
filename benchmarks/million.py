"""A million rows through whole runs of methods without a model, and the same with a new budget.

The pool is that of the example, copied with a number in every instruction and a drawn unit vector
of --dim numbers, as one Parquet file. Each case is a run of the command line:

    cheap      length and a random draw as scorers, the longest 5 %
    budget     the same with 1 %: everything is scored already
    clusters   k-means of the vectors (--clusters), and of each cluster its share of 5 %
    again      the same with 1 %

Memory is the sum of what all processes of a run have for themselves (Pss, so shared pages count
once), looked at every half second; that of the driver stands beside it.

    python benchmarks/million.py
    python benchmarks/million.py --rows 20000 --clusters 50     # a trial of a minute

Writes benchmarks/results/million.json, or what --out names.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tamis.benchmarks.chaos import below

ROOT = Path(__file__).resolve().parent.parent
POOL = ROOT / "configs" / "quickstart" / "pool.jsonl"
BLOCK = 50_000
GROUPS = 1_000  # directions that vectors are drawn around

CHEAP = """
name: cheap
data: [{{name: pool, path: {pool}}}]
scorers:
  long: {{use: length, unit: chars}}
  random: {{use: random}}
signals:
  length: {{use: length}}
selector: {{use: top_k, by: long.score}}
budget: {{fraction: 0.05}}
engine: {{kind: {engine}, workers: {workers}}}
"""
CLUSTERS = """
name: clusters
data: [{{name: pool, path: {pool}}}]
signals:
  length: {{use: length}}
  vectors: {{use: embedding_column, column: data.vector}}
  clusters: {{use: clusters, of: vectors.embedding, k: {k}}}
scorers:
  long: {{use: length, unit: chars}}
selector: {{use: quota, by: long.score, column: clusters.label, shares: proportional}}
budget: {{fraction: 0.05}}
engine: {{kind: {engine}, workers: {workers}}}
"""


def make_pool(path: Path, n: int, dim: int) -> None:
    """Write the pool, block by block."""
    own = [json.loads(line) for line in POOL.read_text("utf-8").splitlines()]
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(GROUPS, dim)).astype(np.float32)
    schema = pa.schema(
        [("instruction", pa.string()), ("output", pa.string()), ("vector", pa.list_(pa.float32()))]
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for first in range(0, n, BLOCK):
            rows = range(first, min(first + BLOCK, n))
            vectors = centres[rng.integers(GROUPS, size=len(rows))]
            vectors = vectors + rng.normal(size=vectors.shape).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            offsets = pa.array(np.arange(len(rows) + 1) * dim, pa.int32())
            columns = {
                "instruction": [f"{own[i % len(own)]['instruction']} ({i})" for i in rows],
                "output": [own[i % len(own)]["output"] for i in rows],
                "vector": pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel())),
            }
            writer.write_table(pa.table(columns, schema))


def pss(process: int) -> int:
    """Bytes that a process has for itself, and its share of what it has with others."""
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:  # gone meanwhile
        pass
    return 0


def run(config: Path, *words: str) -> dict[str, Any]:
    """Run `tamis select`; return its seconds, memory and what it said."""
    command = [sys.executable, "-m", "tamis", "select", str(config), *words]
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=config.parent, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    most, driver, over = 0, 0, threading.Event()

    def watch() -> None:
        nonlocal most, driver
        while not over.wait(0.5):
            own = pss(process.pid)
            driver = max(driver, own)
            most = max(most, own + sum(pss(child) for child, _ in below(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, err = process.communicate()
    over.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{err}\n{out}")
    said = [line for line in err.splitlines() if "no news" not in line]
    return {
        "seconds": round(time.monotonic() - began, 1),
        "memory_gb": round(most / 1e9, 2),
        "driver_gb": round(driver / 1e9, 2),
        "said": [line for line in said if line.endswith(" s") or "rows/s" not in line][-12:],
    }


def main() -> None:
    """Make the pool, run the cases, write."""
    parser = argparse.ArgumentParser(description="A million rows.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--clusters", type=int, default=1_000)
    parser.add_argument("--engine", default="ray")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("million"), help="of pool and store")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/million.json")
    said = parser.parse_args()
    said.folder.mkdir(parents=True, exist_ok=True)
    pool = said.folder.absolute() / f"pool-{said.rows}.parquet"
    if not pool.exists():
        make_pool(pool, said.rows, said.dim)
    for name in ("store", "runs"):
        shutil.rmtree(said.folder / name, ignore_errors=True)
    cases = {}
    for name, text in (("cheap", CHEAP), ("clusters", CLUSTERS)):
        config = said.folder / f"{name}.yaml"
        fields = {"pool": pool, "engine": said.engine, "workers": said.workers}
        config.write_text(text.format(**fields, k=said.clusters))
        cases[name] = run(config)
        print(name, cases[name], flush=True)
        other = f"{name}, a new budget"
        cases[other] = run(config, "--budget", "1%")
        print(other, cases[other], flush=True)
    size = sum(p.stat().st_size for p in (said.folder / "store").rglob("*") if p.is_file())
    record = {
        "rows": said.rows,
        "dim": said.dim,
        "clusters": said.clusters,
        "engine": f"{said.engine}, {said.workers} workers",
        "load_before": os.getloadavg()[0],
        "pool_gb": round(pool.stat().st_size / 1e9, 2),
        "store_gb": round(size / 1e9, 2),
        "cases": cases,
    }
    said.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"written to {said.out}")


if __name__ == "__main__":
    main()
