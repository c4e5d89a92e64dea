"""T-SHIRT's noisy copies against a plain form of its published loop, in the same run.

The loop takes one row at a time: 31 noisy copies and the clean one in a batch of 32, with and
without the instruction, whole logits. Ours runs whole selections (local engine, all threads):
exhaustive, all copies of every row; and in rounds, with the budget given. Times are those of the
signal alone; the loop is timed on its first rows. Lengths are drawn around those of Alpaca (84
tokens with the instruction, 62 without) or Alpaca-GPT4 (180 and 160) where no data is given.

    .venv/bin/python benchmarks/tshirt.py                               # random weights, two shapes
    .venv/bin/python benchmarks/tshirt.py --model DIR --data FILE --rows 400
    .venv/bin/python benchmarks/tshirt.py --shapes gpt2-124m --rows 2000 --loop-rows 32   # on a GPU

Writes benchmarks/results/tshirt.json, or what --out names.
"""

import argparse
import json
import multiprocessing as mp
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tamis.benchmarks.forward import CORES, GPT2, SMALL, machine, random_model, read_rows
from tamis.pipeline.config import Config
from tamis.pipeline.logs import Reporter
from tamis.pipeline.run import select
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

RESULTS = Path(__file__).resolve().parent / "results"
SHAPES = {"small": (SMALL, 200, 16), "gpt2-124m": (GPT2, 16, 2)}  # rows, rows of the loop
LENGTHS = {"alpaca": (22, 62), "alpaca-gpt4": (20, 160)}  # tokens of instruction and answer
COPIES, ALPHA = 30, 5.0
PUBLISHED = 52_002  # rows of Alpaca
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def device_here() -> str:
    """Cuda where there is a GPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def drawn_rows(tokenizer: Any, lengths: tuple[int, int], n: int) -> list[dict[str, str]]:  # noqa: ANN401
    """Rows of random words, with so many tokens on average and a spread like that of real rows."""
    generator = np.random.default_rng(0)

    def text(mean: int) -> str:
        count = int(np.clip(generator.lognormal(np.log(mean) - 0.18, 0.6), 4, 4 * mean))
        words = generator.integers(300, 4000, count).tolist()
        return str(tokenizer.decode(words)).replace("\n", " ").strip() or "a"

    return [
        {"instruction": text(lengths[0]), "input": "", "output": text(lengths[1])} for _ in range(n)
    ]


class Loop:
    """The published procedure for one row at a time: GPT-2 without BOS, tokenised apart."""

    def __init__(self, model: str, dtype: str, device: str) -> None:
        loaded = AutoModelForCausalLM.from_pretrained(model, dtype=DTYPES[dtype])
        self.model = loaded.eval().to(device)
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.device = device

    def __call__(self, row: dict[str, str]) -> np.ndarray:
        """Return Delta (30, tokens) of the noisy copies."""
        before = f"{row['instruction']}\n" + (f"{row['input']}\n" if row["input"] else "")
        first, answer = (self.tokenizer(text)["input_ids"] for text in (before, row["output"]))
        window = self.model.config.max_position_embeddings
        first = first[: window - 2]
        answer = answer[: window - len(first)]
        table = self.model.get_input_embeddings().weight
        size = len(first) + len(answer), table.shape[1]
        scale = ALPHA / np.sqrt(size[0] * size[1])
        noise = (torch.rand(COPIES + 1, *size, device=self.device) * 2 - 1) * scale
        noise = torch.cat([noise, torch.zeros(1, *size, device=self.device)])
        with torch.inference_mode():
            given = self.losses(first + answer, noise)[:, -(len(answer) - 1) :]
            alone = self.losses(answer, noise[:, len(first) :])
        return (alone - given)[:COPIES].float().cpu().numpy()

    def losses(self, ids: list[int], noise: torch.Tensor) -> torch.Tensor:
        """(copies, tokens - 1) losses of whole sequences."""
        tokens = torch.tensor(ids, device=self.device)
        embedded = self.model.get_input_embeddings()(tokens)[None] + noise
        logits = self.model(inputs_embeds=embedded.to(self.model.dtype)).logits.float()
        targets = tokens[1:].expand(len(noise), -1).reshape(-1)
        flat = functional.cross_entropy(logits[:, :-1].flatten(0, 1), targets, reduction="none")
        return flat.reshape(len(noise), -1)


def timed(call: Callable[[], object]) -> float:
    """Seconds of a call, waiting for the GPU."""
    began = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def loop_rate(model: str, dtype: str, rows: list[dict[str, str]]) -> dict[str, Any]:
    """Rows per second of the loop."""
    torch.set_num_threads(CORES)
    loop = Loop(model, dtype, device_here())
    usable = [row for row in rows if len(loop.tokenizer(row["output"])["input_ids"]) > 1]
    loop(usable[0])  # warms up
    seconds = [timed(partial(loop, row)) for row in usable]
    rate = round(len(usable) / sum(seconds), 3)
    return {"rows": len(usable), "rows_per_s": rate, "peak_mb": peak_mb()}


def peak_mb() -> int:
    """Of this process, on the GPU where there is one."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e6)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def apart(work: Callable[..., dict[str, Any]], *given: object) -> dict[str, Any]:
    """Run in a process of its own, so that the peak of memory is its own."""
    with mp.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, given)


def ours(model: str, dtype: str, data: Path, rounds: list[int], budget: float) -> dict[str, Any]:
    """Run a whole selection, and return what its signal took."""
    with tempfile.TemporaryDirectory() as folder:
        noisy = {"use": "neighbours", "model": model, "dtype": dtype, "kernel": "auto"}
        config = {
            "name": "run",
            "data": [{"name": "pool", "path": str(data)}],
            "signals": {"noisy": noisy | {"copies": COPIES, "rounds": rounds}},
            "scorers": {"tshirt": {"use": "tshirt"}},
            # random weights make every row too difficult
            "selector": {"use": "hierarchical", "limit": 10.0},
            "budget": {"rows": max(1, round(budget * len(data.read_text().splitlines())))},
            "engine": {"kind": "local", "threads": CORES},
            "store": f"{folder}/store",
            "out": f"{folder}/runs",
        }
        manifest = select(Config.model_validate(config), Reporter()).manifest
    steps = [step for step in manifest["steps"] if step["name"] == "noisy"]
    seconds = sum(step["seconds"] for step in steps)
    spent = {
        name: sum(step["spent"].get(name, 0) for step in steps) for name in ("tokens", "copies")
    }
    rows = manifest["pool"]["rows_usable"]
    return {
        "rows": rows,
        "seconds": round(seconds, 2),
        "rows_per_s": round(rows / seconds, 3),
        "tokens_per_s": round(spent["tokens"] / seconds),
        "tokens": int(spent["tokens"]),
        "copies": int(spent["copies"]),
        "minutes_for_52002_rows": round(PUBLISHED / rows * seconds / 60, 2),
        "peak_mb": peak_mb(),
    }


def product_rate(dtype: str, dim: int) -> float:
    """FLOP per second of a bare product of the size of a model's layers."""
    torch.set_num_threads(CORES)
    a = torch.randn(8192, dim, dtype=DTYPES[dtype], device=device_here())
    b = torch.randn(4 * dim, dim, dtype=DTYPES[dtype], device=device_here())
    timed(lambda: a @ b.T)
    return 8192 * dim * 4 * dim * 2 / float(np.median([timed(lambda: a @ b.T) for _ in range(7)]))


def body_flop(model: str) -> tuple[int, int]:
    """FLOP of a token in the layers, without attention and head; the hidden size."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model)
    return 2 * 12 * config.num_hidden_layers * config.hidden_size**2, config.hidden_size


def report(
    name: str, model: str, data: Path, said: argparse.Namespace, loop: int
) -> dict[str, Any]:
    """Measure every variant on one model and some rows, and print a line each."""
    flop, dim = body_flop(model)
    rows = read_rows(data, loop + 4)[:loop]
    lines: list[dict[str, Any]] = []
    for dtype in said.dtypes:
        rate = product_rate(dtype, dim)
        base = {"dtype": dtype, "product_gflop_per_s": round(rate / 1e9, 1)}
        found = {"plain loop": apart(loop_rate, model, dtype, rows)}
        found["tamis, all copies"] = apart(ours, model, dtype, data, [], said.budget)
        found["tamis, in rounds"] = apart(ours, model, dtype, data, said.rounds, said.budget)
        for variant, line in found.items():
            line["times_loop"] = round(line["rows_per_s"] / found["plain loop"]["rows_per_s"], 2)
            if "tokens_per_s" in line:
                line["share_of_product"] = round(line["tokens_per_s"] * flop / rate, 3)
            lines.append({"variant": variant} | base | line)
            print(f"  {name}: {lines[-1]}", flush=True)
    return {"name": name, "data": data.name, "variants": lines}


def main() -> None:
    """Run what was asked for and write the result."""
    parser = argparse.ArgumentParser(description="T-SHIRT against its published loop.")
    parser.add_argument("--model", help="a folder; by default random weights in two shapes")
    parser.add_argument("--data", type=Path, help="Alpaca's shape; by default random words")
    parser.add_argument("--lengths", choices=LENGTHS, default="alpaca")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--loop-rows", type=int)
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--rounds", type=int, nargs="+", default=[3, 5, 8, 13, 20, 30])
    parser.add_argument("--budget", type=float, default=0.05)
    parser.add_argument("--out", type=Path, default=RESULTS / "tshirt.json")
    said = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ["given"] if said.model else said.shapes:
            shape, n, loop = SHAPES.get(name, ({}, 400, 16))
            model = said.model or random_model(f"{folder}/{name}", shape)
            n, loop = said.rows or n, said.loop_rows or loop
            if said.data:
                rows = read_rows(said.data, n)
            else:
                rows = drawn_rows(AutoTokenizer.from_pretrained(model), LENGTHS[said.lengths], n)
            data = Path(folder) / f"{said.data.stem if said.data else said.lengths}.jsonl"
            data.write_text("".join(json.dumps(row) + "\n" for row in rows))
            label = Path(said.model).name if said.model else name
            found.append(report(label, model, data, said, loop))
    result = {"machine": machine(), "device": device_here(), "budget": said.budget}
    result |= {"rounds": said.rounds, "copies": COPIES, "results": found}
    said.out.parent.mkdir(parents=True, exist_ok=True)
    said.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {said.out}")


if __name__ == "__main__":
    main()
