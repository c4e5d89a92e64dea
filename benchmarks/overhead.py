"""What the engines cost: Ray with two workers, the local engine, and a bare loop over the parts.

    scores   a scorer on a column that is there, parts of 1,024 rows: reading, writing and telling
             are nearly all there is; 10,000 rows and 1,000,000
    model    losses and embeddings by the example's model, 10,000 rows: where computing is the work

bare loop   the stage on tables in memory, one after the other: nothing is read or kept
local       one process, which reads and keeps every part
ray         two workers of one thread each; start-up is the time until the first one is ready

Not computing: of the time of all workers after start-up, what is not spent in tasks; within tasks
reading and writing are included, and stand in `local` against `bare loop`.

    python benchmarks/overhead.py
    python benchmarks/overhead.py --large 20000 --small 2000       # a trial

Every case runs in a process of its own, after a first one that is thrown away. Writes
benchmarks/results/overhead.json, or what --out names.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tamis.benchmarks.measuring import ROOT, apart, write
from tamis.pipeline.config import EngineConfig
from tamis.pipeline.executor import RayEngine, open_engine
from tamis.pipeline.store import Address, Part, Store
from tamis.pipeline.task import Task, limit_threads
from tamis.scorers.random import Random
from tamis.stages.base import ROWS, Stage
from tamis.stages.score import Score
from tamis.stages.signals.forward import Forward

PART = 1024
POOL = ROOT / "configs" / "quickstart"
WORKERS = 2


def make_store(folder: Path, n: int) -> tuple[Store, list[Part]]:
    """A store with the rows of the example, over and over, each with a content of its own."""
    own = [json.loads(line) for line in (POOL / "pool.jsonl").read_text("utf-8").splitlines()]
    store, parts = Store(folder), []
    for first in range(0, n, PART):
        rows = range(first, min(first + PART, n))
        part = Part(f"{first:032x}", first, len(rows))
        messages = [
            [
                {"role": "user", "content": own[i % len(own)]["instruction"]},
                {"role": "assistant", "content": own[i % len(own)]["output"]},
            ]
            for i in rows
        ]
        columns = {
            "position": pa.array(np.arange(len(rows)), pa.int32()),
            "sample_id": [f"{i:032x}" for i in rows],
            "messages": pa.array(messages, ROWS.field("messages").type),
            "tools": pa.nulls(len(rows), pa.string()),
            "input_start": pa.nulls(len(rows), pa.int32()),
        }
        store.write_rows(part, pa.table(columns))
        parts.append(part)
    return store, parts


def tasks_of(stage: Stage, wanted: list[str], parts: list[Part], folder: str) -> list[Task]:
    """All parts."""
    reads = {name: Address("", name) for name in stage.reads.names}
    return [Task(part, wanted, reads, folder) for part in parts]


def bare(stage: Stage, wanted: list[str], store: Store, parts: list[Part]) -> dict[str, Any]:
    """The stage on tables in memory."""
    reads = {name: Address("", name) for name in stage.reads.names}
    tables = [store.read(part, reads) for part in parts]
    limit_threads(stage, 1)
    stage.setup()
    began = time.perf_counter()
    for table in tables:
        stage(table, wanted)
    return {"seconds": time.perf_counter() - began}


def engine(
    kind: str, stage: Stage, wanted: list[str], store: Store, parts: list[Part]
) -> dict[str, Any]:
    """An engine from nothing to the last part."""
    config = EngineConfig.model_validate(
        {"kind": kind, "workers": WORKERS if kind == "ray" else None}
    )
    made = open_engine(config, store.root)
    tasks = tasks_of(stage, wanted, parts, f"{kind}-{os.getpid()}")
    began = time.perf_counter()
    first, busy = 0.0, 0.0
    for receipt in made.run(stage, tasks):
        if not first:
            first = time.perf_counter() - began - receipt.seconds
        busy += receipt.seconds
    seconds = time.perf_counter() - began
    workers = WORKERS if isinstance(made, RayEngine) else 1
    made.close()
    working = (seconds - first) * workers
    return {
        "seconds": seconds,
        "start_up_s": first,
        "not_computing": 1 - busy / working,
    }


def compared(
    stage: Stage, wanted: list[str], store: Store, parts: list[Part], repeats: int
) -> dict[str, Any]:
    """Medians of all three, in turn, after a round that is thrown away."""
    works: dict[str, Callable[[], dict[str, Any]]] = {
        "bare loop": lambda: bare(stage, wanted, store, parts),
        "local": lambda: engine("local", stage, wanted, store, parts),
        "ray": lambda: engine("ray", stage, wanted, store, parts),
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in works}
    for repeat in range(repeats + 1):
        for name, work in works.items():
            one = apart(name, work, "cpu")
            if repeat:
                found[name].append({key: one[key] for key in one if key != "method"})
    return {
        name: {
            figure: {
                "median": round(statistics.median(one[figure] for one in every), 4),
                "least": round(min(one[figure] for one in every), 4),
                "most": round(max(one[figure] for one in every), 4),
            }
            for figure in every[0]
        }
        for name, every in found.items()
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="What the engines cost.")
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    model = Forward(model=str(POOL / "model"), dtype="fp32")
    cases: dict[str, tuple[Stage, list[str], int]] = {
        "scores, few": (Score(scorer=Random(seed=0)), ["score", "status"], said.small),
        "scores, many": (Score(scorer=Random(seed=0)), ["score", "status"], said.large),
        "model": (
            model,
            ["given.token_loss_sum", "given.token_loss_count", "embedding", "status"],
            said.small,
        ),
    }
    record: dict[str, Any] = {"part_rows": PART, "workers_of_ray": WORKERS, "cases": {}}
    for name, (stage, wanted, n) in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            store, parts = make_store(Path(folder), n)
            found = compared(stage, wanted, store, parts, said.repeats)
        record["cases"][name] = {"rows": n, "load": round(os.getloadavg()[0], 1)} | found
        print(name, json.dumps(record["cases"][name], indent=1), flush=True)
    write("overhead", said.out, record)


if __name__ == "__main__":
    main()
