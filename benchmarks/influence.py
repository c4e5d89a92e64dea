"""Scoring a store of projected gradients: memory and time by rows, against one matrix.

Random unit vectors of `--dim` numbers stand in for the gradients of a checkpoint; they are made and
kept by an ordinary run, so that scoring reads the files that users have. Then `influence` scores
every row for a target of 16 in a process of its own, on one thread. The baseline does what the
published code does: all gradients and the target's in one float32 matrix each, and their product.
Both start from files that the system has just read or written.

    python benchmarks/influence.py                        # 10,000 and 100,000 rows x 8,192
    python benchmarks/influence.py --rows 1000000         # 16.4 GB on disk
    python benchmarks/influence.py --rows 200 --dim 64

Writes benchmarks/results/influence.json, or what --out names.
"""

import argparse
import json
import multiprocessing as mp
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tamis.benchmarks.forward import machine
from tamis.benchmarks.measuring import write
from tamis.pipeline import run
from tamis.pipeline.config import Config
from tamis.pipeline.load import load
from tamis.pipeline.logs import Reporter
from tamis.pipeline.pool import pool_key
from tamis.pipeline.store import Store
from tamis.scorers.matrices import matrix

QUERIES = 16
SIGNAL = '''"""Random unit vectors in place of gradients, the same for the same row."""

import numpy as np
import pyarrow as pa
from tamis.scorers.vectors import vector_column
from tamis.stages.base import Stage


class Drawn(Stage):
    """As the columns of `gradient`, for one checkpoint."""

    dim: int

    @property
    def reads(self):
        return pa.schema([("sample_id", pa.string())])

    @property
    def adds(self):
        vectors = [("adam", pa.list_(pa.float16())), ("plain", pa.list_(pa.float16()))]
        statuses = [("status", pa.string()), ("given.status", pa.string())]
        return pa.schema([*vectors, ("weights", pa.list_(pa.float32())), *statuses])

    def run(self, rows, wanted):
        n, made = len(rows), {}
        if set(wanted) & {"adam", "plain"}:
            found = np.empty((n, self.dim), np.float16)
            for i, name in enumerate(rows["sample_id"].to_pylist()):
                drawn = np.random.default_rng(int(name[:15], 16)).standard_normal(self.dim)
                found[i] = drawn / np.linalg.norm(drawn)
            every = np.ones(n, bool)
            made["adam"] = made["plain"] = vector_column([found], np.arange(n), every, "fp16")
        made["weights"] = pa.array([[1.0]] * n, pa.list_(pa.float32()))
        made["status"] = made["given.status"] = pa.array(["ok"] * n, pa.string())
        return pa.table({name: made[name] for name in wanted})
'''


def config_of(folder: Path, n: int, dim: int) -> Config:
    """A pool of n rows, a target, and the signal, as files of a user."""
    for name, count in (("pool", n), ("target", QUERIES)):
        rows = [{"instruction": f"{name} {i}", "output": "yes"} for i in range(count)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "drawn.py").write_text(SIGNAL)
    (folder / "c.json").write_text(
        json.dumps(
            {
                "name": "influence",
                "data": [{"name": "pool", "path": "pool.jsonl"}],
                "targets": {"near": {"path": "target.jsonl"}},
                "signals": {"gradient": {"use": "./drawn.py", "dim": dim}},
                "scorers": {"less": {"use": "influence", "target": "near"}},
                "engine": {"kind": "local", "workers": 1},
                "store": str(folder / "store"),
                "out": str(folder / "runs"),
            }
        )
    )
    return load(str(folder / "c.json"), allow_code=True)


def ours(config: Config) -> dict[str, Any]:
    """Score from the store, as a run does."""
    store = Store(Path(config.store))
    scored = run.score_pool(config, store, pool_key(config), Reporter())
    report = next(report for report in scored.reports if report.name == "less")
    return {"rows": report.rows, "score_s": report.seconds}


def one_matrix(config: Config) -> dict[str, Any]:
    """Score with everything in two matrices."""
    store = Store(Path(config.store))
    scored = run.score_pool(config, store, pool_key(config), Reporter())
    began = time.perf_counter()
    columns = {"gradient.adam": scored.plan.columns["gradient.adam"]}
    step = next(step for step in scored.plan.steps if step.name == "less")
    aims = step.aims["near"].rows(store)
    queries = matrix(aims["gradient.plain"], "gradient.plain").astype(np.float32)
    parts = list(store.read_pool(scored.pool.parts, columns))
    whole = np.concatenate(
        [part["gradient.adam"].combine_chunks().flatten().to_numpy() for part in parts]
    ).astype(np.float32)
    sims = whole.reshape(-1, queries.shape[1]) @ queries.T
    found = sims.mean(axis=1)
    seconds = time.perf_counter() - began
    theirs = scored.table["less.score"].to_numpy()
    return {
        "rows": len(found),
        "score_s": round(seconds, 3),
        "largest_difference": float(np.abs(found - theirs).max()),
    }


def apart(method: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run in a process of its own, with its peak of memory."""

    def send(pipe: Any) -> None:  # noqa: ANN401 - a connection
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pipe.send(
            found | {"peak_mb": round(peak * 1024 / 1e6), "before_mb": before * 1024 // 10**6}
        )

    here, there = mp.Pipe()
    process = mp.get_context("fork").Process(target=send, args=(there,))
    process.start()
    there.close()
    try:
        found = here.recv()
    except EOFError:
        found = {"failed": "the process was killed"}
    process.join()
    line: dict[str, Any] = {"method": method} | found
    if "rows" in line:
        line["rows_per_s"] = round(line["rows"] / line["score_s"])
    print(f"  {line}", flush=True)
    return line


def measured(n: int, said: argparse.Namespace) -> dict[str, Any]:
    """Make a store of n rows, and score it in both ways."""
    with tempfile.TemporaryDirectory(dir=said.folder) as temporary:
        config = run.pin(config_of(Path(temporary), n, said.dim))
        began = time.perf_counter()
        apart("vectors made", partial(ours, config))  # makes them, and scores once
        made = time.perf_counter() - began
        store = Store(Path(config.store))
        size = sum(file.stat().st_size for file in store.root.rglob("*.parquet"))
        print(f"{n:,} rows x {said.dim:,}: {size / 1e9:.2f} GB in {made:.0f} s", flush=True)
        lines = []
        for _ in range(said.repeats):
            for folder in store.root.glob("influence-*"):
                shutil.rmtree(str(folder))
            lines.append(apart("tamis", partial(ours, config)))
            if not said.alone:
                lines.append(apart("one matrix", partial(one_matrix, config)))
    return {"rows": n, "dim": said.dim, "store_gb": round(size / 1e9, 3), "methods": lines}


def main() -> None:
    """Measure every size and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--dim", type=int, default=8192)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="without the baseline")
    parser.add_argument("--folder", help="where the store lies while it runs")
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    results = [measured(n, said) for n in said.rows]
    write("influence", said.out, {"versions": machine(), "queries": QUERIES, "results": results})


if __name__ == "__main__":
    main()
