"""The forward signal and IFD against a plain loop: one row at a time, the model's own logits.

Every variant runs in processes of its own, so that peak memory is its own. All score the same rows
with the same model; the first repeat warms up and does not count. The plain loop uses all threads
of the machine, ours its default (one thread per worker, as many workers as cores) and, to show why
that is the default, one worker with all threads.

    .venv/bin/python benchmarks/forward.py                              # random weights, two shapes
    .venv/bin/python benchmarks/forward.py --model DIR --data FILE      # a real model, real rows

Writes benchmarks/results/forward.json, or what --out names.
"""

import argparse
import json
import multiprocessing as mp
import os
import platform
import resource
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass, field
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
TOKENIZER = ROOT / "configs/quickstart/model"
CORES = os.cpu_count() or 1
SMALL = {"n_layer": 4, "n_embd": 256, "n_head": 4, "vocab_size": 8192, "n_positions": 512}
GPT2 = {"n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 50257, "n_positions": 1024}
SHAPES = {"small: 4 x 256, vocabulary 8,192": (SMALL, 256), "gpt2-124m": (GPT2, 48)}

Row = dict[str, str]


@dataclass(frozen=True)
class Variant:
    """One way to score the rows."""

    name: str
    dtype: str
    workers: int
    threads: int


@dataclass
class Timing:
    """What a variant took."""

    variant: Variant
    walls_s: list[float]
    peak_mb: int
    scores: np.ndarray = field(repr=False)

    @property
    def median_s(self) -> float:
        """Of the repeats."""
        return statistics.median(self.walls_s)


VARIANTS = [
    Variant(name, dtype, workers, threads)
    for name, workers, threads in (
        ("plain loop", 1, CORES),
        (f"tamis, {CORES} workers x 1 thread", CORES, 1),
        (f"tamis, 1 worker x {CORES} threads", 1, CORES),
    )
    for dtype in ("fp32", "bf16")
]


class PlainLoop:
    """IFD as Superfiltering publishes it, row by row."""

    def __init__(self, model: str, dtype: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=kind).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(model)

    def __call__(self, rows: list[Row]) -> list[float]:
        """Return a score per row."""
        import torch

        window = self.model.config.n_positions
        scores = []
        with torch.inference_mode():
            for row in rows:
                before = f"{row['instruction']}\n" + (f"{row['input']}\n" if row["input"] else "")
                n = len(self.tokenizer(before)["input_ids"])
                given = self.loss(before + row["output"], n, window)
                alone = self.loss(row["output"], 0, window - n + 1)
                scores.append(float(np.exp(given - alone)))
        return scores

    def loss(self, text: str, first: int, window: int) -> float:
        """Mean loss of the tokens from `first` on, nats."""
        ids = self.tokenizer(text, return_tensors="pt", truncation=True, max_length=window)
        labels = ids["input_ids"].clone()
        labels[:, :first] = -100
        return float(self.model(input_ids=ids["input_ids"], labels=labels).loss)


class Tamis:
    """The same through the forward signal and the scorer."""

    def __init__(self, model: str, dtype: str) -> None:
        from tamis.scorers.ifd import IFD
        from tamis.stages.signals.forward import Forward

        self.scorer = IFD(signal="base")
        self.wanted = [name.removeprefix("base.") for name in self.scorer.reads.names]
        fields = {"model": model, "dtype": dtype, "tokenisation": "official"}
        self.stage = Forward.model_validate(fields)
        self.stage.setup()

    def __call__(self, rows: list[Row]) -> list[float]:
        """Return a score per row."""
        import pyarrow as pa

        table = pa.Table.from_pylist([as_pool(row) for row in rows], schema=self.stage.reads)
        scores: list[float] = []
        for start in range(0, len(table), 1024):
            columns = self.stage(table.slice(start, 1024), self.wanted)
            columns = columns.rename_columns([f"base.{name}" for name in self.wanted])
            scores += self.scorer(columns)["score"].to_numpy().tolist()
        return scores


def as_pool(row: Row) -> dict[str, Any]:
    """Return a row as it stands in a pool."""
    user = f"{row['instruction']}\n{row['input']}" if row["input"] else row["instruction"]
    turns = [("user", user), ("assistant", row["output"])]
    return {
        "messages": [{"role": role, "content": content} for role, content in turns],
        "tools": None,
        "input_start": len(row["instruction"]) + 1 if row["input"] else None,
    }


def work(
    variant: Variant, model: str, rows: list[Row], together: Barrier, results: "mp.Queue[Any]"
) -> None:
    """Score one worker's rows again and again; all workers start each time together."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(variant.threads)
    make = PlainLoop if variant.name == "plain loop" else Tamis
    score, spans, scores = make(model, variant.dtype), [], []
    for _ in range(REPEATS + 1):
        together.wait()
        began = time.monotonic()
        scores = score(rows)
        spans.append((began, time.monotonic()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.put((rows[0]["output"], scores, spans[1:], peak))


REPEATS = 3


def measure(variant: Variant, model: str, rows: list[Row]) -> Timing:
    """Time one variant; its workers share the rows."""
    context = mp.get_context("spawn")
    results: mp.Queue[Any] = context.Queue()
    shares = [rows[i :: variant.workers] for i in range(variant.workers)]
    together = context.Barrier(variant.workers)
    workers = [
        context.Process(target=work, args=(variant, model, share, together, results))
        for share in shares
    ]
    for process in workers:
        process.start()
    found = [results.get() for _ in workers]
    for process in workers:
        process.join()
    scores = np.full(len(rows), np.nan)
    for first, values, _, _ in found:
        place = next(i for i, share in enumerate(shares) if share[0]["output"] == first)
        scores[place :: variant.workers] = values
    spans = np.array([spans for _, _, spans, _ in found])  # (workers, repeats, 2)
    walls = spans[:, :, 1].max(0) - spans[:, :, 0].min(0)
    return Timing(variant, walls.round(3).tolist(), round(sum(f[3] for f in found)), scores)


def rank_correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Spearman's, over the rows that both have scored."""
    from scipy.stats import spearmanr

    return float(spearmanr(left, right, nan_policy="omit").statistic)


def report(name: str, model: str, rows: list[Row]) -> dict[str, Any]:
    """Measure every variant on one model, and print a line each."""
    print(f"\n{name}, {len(rows)} rows")
    timings = [measure(variant, model, rows) for variant in VARIANTS]
    base = {t.variant.dtype: t for t in timings if t.variant.name == "plain loop"}
    lines = []
    for timing in timings:
        line = asdict(timing.variant) | {
            "walls_s": timing.walls_s,
            "median_s": round(timing.median_s, 3),
            "rows_per_s": round(len(rows) / timing.median_s, 2),
            "times_plain_fp32": round(base["fp32"].median_s / timing.median_s, 2),
            "times_plain_same_dtype": round(
                base[timing.variant.dtype].median_s / timing.median_s, 2
            ),
            "peak_mb": timing.peak_mb,
            "rank_correlation_with_plain_fp32": round(
                rank_correlation(timing.scores, base["fp32"].scores), 5
            ),
        }
        print(
            "  {name:28} {dtype}  {median_s:8.2f} s  {rows_per_s:8.1f} rows/s  "
            "x{times_plain_fp32} fp32 loop  x{times_plain_same_dtype} same dtype  "
            "{peak_mb} MB  rho {rank_correlation_with_plain_fp32}".format(**line)
        )
        lines.append(line)
    return {"model": name, "rows": len(rows), "variants": lines}


def random_model(folder: str, shape: dict[str, int]) -> str:
    """Save a GPT-2 of a shape with random weights and a small tokenizer."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(**shape)).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    tokenizer.save_pretrained(folder)
    return folder


def read_rows(path: Path, n: int) -> list[Row]:
    """The first rows with an answer, of a JSON array or JSON Lines in Alpaca's shape."""
    text = path.read_text("utf-8")
    rows = json.loads(text) if text[:1] == "[" else [json.loads(x) for x in text.splitlines()]
    named = [{k: row.get(k) or "" for k in ("instruction", "input", "output")} for row in rows]
    distinct = {row["output"]: row for row in named if row["output"].strip()}
    return list(distinct.values())[:n]


def main() -> None:
    """Run what was asked for and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a folder; by default random weights in two shapes")
    parser.add_argument("--data", type=Path, default=ROOT / "configs/quickstart/pool.jsonl")
    parser.add_argument("--rows", type=int, help="rows to score")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/forward.json")
    said = parser.parse_args()
    found = []
    if said.model:
        found.append(
            report(Path(said.model).name, said.model, read_rows(said.data, said.rows or 256))
        )
    else:
        for name, (shape, n) in SHAPES.items():
            with tempfile.TemporaryDirectory() as folder:
                rows = read_rows(said.data, said.rows or n)
                found.append(report(name, random_model(folder, shape), rows))
    result = {"machine": machine(), "data": said.data.name, "repeats": REPEATS, "results": found}
    said.out.parent.mkdir(parents=True, exist_ok=True)
    said.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nwritten to {said.out}")


def machine() -> dict[str, Any]:
    """Processor and library versions."""
    import torch
    import transformers

    names = (
        [
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ]
        if Path("/proc/cpuinfo").exists()
        else []
    )
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": CORES,
        "has_bf16": bool(torch.cpu._is_avx512_bf16_supported()),
        "has_amx": bool(torch.cpu._is_amx_tile_supported()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


if __name__ == "__main__":
    main()
