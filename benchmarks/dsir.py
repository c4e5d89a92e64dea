"""DSIR beside the published package, on the same rows in the same run; and over a million rows.

The rows are made-up words, a few of them frequent and most of them rare as in a language (Zipf), 20
to 200 a row; another tenth of the vocabulary is frequent in the target. Parts:

    theirs   the package `data-selection`: fit, weights, and the rows with the highest weights, with
             one process and with two, and without its lower bound of 100 tokens
    work     the same work by our stages in one process: reading the file, n-grams, weights, choice
    ours     `tamis select` from the command line, with as many workers: start, reading, n-grams,
             weights, the same choice, ledger and export; weights and rows are compared with theirs
    many     --many short rows (those of benchmarks/million.py), a sample of 5 %, on two workers

One worker is the engine `local`, several are Ray's, whose start takes some seconds of each run.
Each of the comparison is done --repeats times in turn: median, least and most, of the clock and of
the processor; on a machine with other work only the latter says something.

Memory is the sum of what all processes of a run have for themselves (Pss).

    python benchmarks/dsir.py
    python benchmarks/dsir.py --rows 5000 --many 20000     # a trial of a minute

Writes benchmarks/results/dsir.json, or what --out names.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tamis.benchmarks.measuring import processor
from tamis.benchmarks.million import POOL, make_pool, run
from tamis.scorers.dsir import Dsir
from tamis.stages.base import ROWS
from tamis.stages.signals.ngrams import Ngrams

ROOT = Path(__file__).resolve().parent.parent
VOCABULARY = 50_000
TARGET_ROWS = 1_000
CLOCKS = ("seconds", "cpu_s")
WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)

OURS = """
name: ours
data: [{{name: pool, path: {raw}}}]
targets: {{examples: {{path: {target}}}}}
signals: {{ngrams: {{use: ngrams}}}}
scorers: {{dsir: {{use: dsir, target: examples}}}}
selector: {{use: {use}, by: dsir.score}}
budget: {{fraction: 0.05}}
engine: {{kind: {engine}, workers: {workers}}}
report: {report}
"""


def make_rows(path: Path, n: int, seed: int) -> None:
    """Write rows of made-up words; the seed says which of them are frequent."""
    rng = np.random.default_rng(seed)
    words = np.array(
        [f"{chr(97 + i % 26)}{np.base_repr(i, 36).lower()}" for i in range(VOCABULARY)]
    )
    moved = rng.permutation(VOCABULARY // 10)
    words[: len(moved)] = words[moved]
    weights = 1 / np.arange(1, VOCABULARY + 1)
    ends = np.cumsum(weights / weights.sum())
    with path.open("w") as file:
        for place in range(n):
            drawn = words[np.searchsorted(ends, rng.random(rng.integers(20, 200)))]
            half = len(drawn) // 4
            row = {
                "instruction": " ".join(drawn[:half]) + "?",
                "output": " ".join(drawn[half:]) + ".",
            }
            file.write(json.dumps(row | {"place": place}) + "\n")


def theirs(raw: Path, target: Path, folder: Path, n: int, workers: int) -> dict[str, Any]:
    """Run the package; return its seconds, weights and the places of the rows it chose."""
    from data_selection import HashedNgramDSIR  # of the developers' dependencies

    def text(row: dict[str, Any]) -> str:
        return f"{row['instruction']}\n{row['output']}"

    shutil.rmtree(folder, ignore_errors=True)
    began, before = time.perf_counter(), sum(sum(resource.getrusage(who)[:2]) for who in WHO)
    dsir = HashedNgramDSIR(
        [str(raw)],
        [str(target)],
        cache_dir=str(folder / "cache"),
        raw_parse_example_fn=text,
        target_parse_example_fn=text,
        num_proc=workers,
        min_example_length=0,
    )
    dsir.fit_importance_estimator(num_tokens_to_fit="all")
    dsir.compute_importance_weights()
    dsir.resample(str(folder / "out"), n, cache_dir=str(folder / "chosen"), top_k=True)
    seconds = time.perf_counter() - began
    cpu = sum(sum(resource.getrusage(who)[:2]) for who in WHO) - before  # not that of imports
    weights: dict[int, float] = {}
    for shard in range(workers):  # row i is in shard i mod workers
        found = np.load(folder / "cache" / "log_importance_weights" / f"{shard}.npy")
        weights |= {shard + workers * place: w for place, w in enumerate(found.tolist())}
    lines = [line for file in (folder / "out").rglob("*.jsonl") for line in file.open()]
    return {
        "seconds": round(seconds, 1),
        "cpu_s": round(cpu, 1),
        "weights": np.array([weights[place] for place in range(len(weights))]),
        "chosen": {json.loads(line)["place"] for line in lines},
    }


def work(raw: Path, target: Path, n: int) -> dict[str, Any]:
    """Do the same work by the stages alone; return its seconds and the places of the rows."""
    began, cpu = time.perf_counter(), time.process_time()
    signal, scorer = Ngrams(), Dsir(target="examples")
    pool, aim = ([signal_of(signal, part) for part in parts(path)] for path in (raw, target))
    fitted = scorer.fit_to_targets(pool, {"examples": pa.concat_tables(aim).combine_chunks()})
    scores = pa.concat_tables([scorer(rows, fitted) for rows in pool])["score"].to_numpy()
    chosen = np.argsort(-scores, kind="stable")[:n]
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "chosen": set(chosen.tolist()),
    }


def parts(path: Path) -> Iterator[pa.Table]:
    """Yield the rows of a file as conversations, 1,024 at a time."""
    schema = pa.schema([ROWS.field("messages")])
    with path.open() as file:
        while lines := list(islice(file, 1024)):
            rows = [json.loads(line) for line in lines]
            pairs = (("user", "instruction"), ("assistant", "output"))
            yield pa.Table.from_pylist(
                [
                    {"messages": [{"role": role, "content": row[name]} for role, name in pairs]}
                    for row in rows
                ],
                schema=schema,
            )


def signal_of(signal: Ngrams, rows: pa.Table) -> pa.Table:
    """The columns of a signal under its name."""
    made = signal(rows, signal.adds.names)
    return made.rename_columns([f"ngrams.{name}" for name in made.column_names])


def compare(folder: Path, rows: int, workers: int, repeats: int) -> dict[str, Any]:
    """Run all on the same rows, in turn."""
    raw, target = folder / f"raw-{rows}.jsonl", folder / "target.jsonl"
    if not raw.exists():
        make_rows(raw, rows, 0)
    make_rows(target, TARGET_ROWS, 1)
    n = rows * 5 // 100
    times: dict[str, list[dict[str, Any]]] = {"theirs": [], "work": [], "ours": []}
    for _ in range(repeats):
        # in a process of its own: where NLTK has cut a text before, its pattern cannot be pickled
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            other = apart.submit(theirs, raw, target, folder / "theirs", n, workers).result()
        times["theirs"].append(other)
        times["work"].append(same := work(raw, target, n))
        before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        own = ours(folder, raw, target, workers, "top_k")
        own["cpu_s"] = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before
        times["ours"].append(own)
    ledger = pq.read_table(folder / "runs" / "ours" / "ledger.parquet").sort_by("row_id")
    weights = ledger["dsir.score"].to_numpy().astype(np.float64)
    kept = np.flatnonzero(np.array(ledger["outcome"].to_pylist()) == "kept").tolist()
    off = np.abs(weights - other["weights"]) / np.maximum(np.abs(other["weights"]), 1)
    spread = {name: {c: spread_of(found, c) for c in CLOCKS} for name, found in times.items()}
    found = {
        "rows": rows,
        "workers": workers,
        "repeats": repeats,
        **spread,  # the processor of Ray's workers is not all in it
        "times_faster": {
            name: {c: round(spread["theirs"][c][0] / spread[name][c][0], 1) for c in CLOCKS}
            for name in ("work", "ours")
        },
        "ours_memory_gb": own["memory_gb"],
        "weights_apart_relative": float(off.max()),  # ours are kept as float32
        "chosen": n,
        "chosen_by_both": len(other["chosen"] & set(kept)),
        "work_chosen_by_both": len(other["chosen"] & same["chosen"]),
    }
    print(json.dumps(found), flush=True)
    return found


def spread_of(found: list[dict[str, Any]], clock: str) -> list[float]:
    """Median, least and most of some repeats."""
    own = [float(one[clock]) for one in found]
    return [round(value, 1) for value in (statistics.median(own), min(own), max(own))]


def ours(
    folder: Path, raw: Path, target: Path, workers: int, use: str, report: bool = False
) -> dict[str, Any]:
    """Run Tamis from nothing."""
    for name in ("store", "runs"):
        shutil.rmtree(folder / name, ignore_errors=True)
    config = folder / "ours.yaml"
    engine = "local" if workers == 1 else "ray"
    fields = {"raw": raw, "target": target, "workers": workers, "engine": engine, "use": use}
    config.write_text(OURS.format(**fields, report=str(report).lower()))
    return run(config)


def main() -> None:
    """Run what is asked for, and write."""
    parser = argparse.ArgumentParser(description="DSIR beside the published package.")
    parser.add_argument("--rows", type=int, default=100_000, help="0: without the comparison")
    parser.add_argument("--many", type=int, default=1_000_000, help="0: without the large run")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="of the comparison")
    parser.add_argument("--repeats", type=int, default=3, help="of the comparison")
    parser.add_argument("--folder", type=Path, default=Path("dsir-benchmark"))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/dsir.json")
    said = parser.parse_args()
    folder = said.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    machine = f"{processor()}, {os.cpu_count()} cores"
    record: dict[str, Any] = {"machine": machine, "load_before": os.getloadavg()[0]}
    if said.rows:
        record["compared"] = [compare(folder, said.rows, n, said.repeats) for n in said.workers]
    if said.many:
        pool, target = folder / f"pool-{said.many}.parquet", folder / "few.jsonl"
        if not pool.exists():
            make_pool(pool, said.many, 1)
        target.write_text("".join(POOL.read_text("utf-8").splitlines(keepends=True)[:100]))
        found = ours(folder, pool, target, 2, "sample", report=True)
        record["many"] = {"rows": said.many, "workers": 2} | found
        print(json.dumps(record["many"]), flush=True)
    said.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"written to {said.out}")


if __name__ == "__main__":
    main()
