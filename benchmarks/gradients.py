"""Gradients of each row at a LoRA checkpoint: batched passes against one backward per row.

The baseline is what the published code of LESS does: a batch of one row, a forward with the model's
own logits and loss, a backward, all gradients into one vector; for the projection 16 of them at a
time with the same matrix as ours. Both sides take the same rows, the same adapters and moments.

    gradients     plain gradients, thrown away as soon as they are whole
    projection    Adam's direction, projected to `--dim` numbers

Every method runs in a process of its own, on one thread; the first repeat warms up. `--rows` of the
quickstart pool, `max_tokens` 512. Random weights in two shapes, or a model of yours.

    .venv/bin/python benchmarks/gradients.py
    .venv/bin/python benchmarks/gradients.py --model DIR --data FILE --template alpaca --rows 128
    .venv/bin/python benchmarks/gradients.py --rank 128 --dim 8192   # as published: hours on a CPU
    .venv/bin/python benchmarks/gradients.py --shapes tiny --rows 4 --dim 64 --repeats 1

Writes benchmarks/results/gradients.json, or what --out names.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tamis.benchmarks.forward import GPT2, SMALL, as_pool, machine, random_model, read_rows
from tamis.benchmarks.measuring import ROOT, apart, memory, write
from tamis.kernels.adam import adam_direction
from tamis.kernels.projection import project
from tamis.stages import models
from tamis.stages.adapters import Lora, attach_new
from tamis.stages.gradients import GradientPass
from tamis.stages.models import LM
from tamis.stages.sinks import Dense
from tamis.stages.tokenize import Encoder, scored_rows
from torch import Tensor

TINY = {"n_layer": 2, "n_embd": 64, "n_head": 2, "vocab_size": 8192, "n_positions": 512}
SHAPES = {
    "tiny": ("tiny: 2 x 64, vocabulary 8,192", TINY, 8),
    "small": ("small: 4 x 256, vocabulary 8,192", SMALL, 128),
    "gpt2": ("gpt2-124m", GPT2, 24),
}
WINDOW = 512
GROUP = 16  # rows that the published code projects together


@dataclass
class Case:
    """What every method gets."""

    lm: LM
    lora: Lora
    ids: list[list[int]]
    positions: list[np.ndarray]
    moments: list[tuple[Tensor, Tensor]]
    dim: int


def case_of(folder: str, said: argparse.Namespace, n: int) -> Case:
    """Load a model, put random adapters on it, tokenise the rows."""
    lm = models.load(folder, dtype=said.dtype)
    fields = {"r": said.rank, "lora_alpha": 4 * said.rank, "lora_dropout": 0.1}
    lora = attach_new(lm, folder, fields, ())
    generator = torch.Generator().manual_seed(0)
    moments = []
    with torch.no_grad():
        for weight in lora.parameters.values():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.02)
            m, v = (torch.randn(weight.numel(), generator=generator) * 1e-4 for _ in "mv")
            moments.append((m, v.square()))
    rows = [as_pool(row) for row in read_rows(said.data, n)]
    encoder = Encoder(lm.tokenizer, said.template, "exact", WINDOW)
    encoded = encoder.encode(rows)
    places, positions = scored_rows(encoded)
    ids = [encoded[i].ids for i in places]
    return Case(lm, lora, ids, positions, moments, said.dim)


def turn(case: Case, place: int, grads: Tensor) -> None:
    """Make Adam's direction of gradients."""
    adam_direction(grads, *case.moments[place])


def one_by_one(case: Case) -> Iterator[Tensor]:
    """One backward per row, with the logits; each whole gradient."""
    weights = list(case.lora.parameters.values())
    for ids, positions in zip(case.ids, case.positions, strict=True):
        for weight in weights:
            weight.grad = None
        row = torch.tensor([ids])
        logits = (case.lm.hidden(row)[0] @ case.lm.head.weight.T).float()
        labels = torch.full((len(ids),), -100)
        labels[positions] = row[0, positions]
        loss = torch.nn.functional.cross_entropy(logits[:-1], labels[1:], ignore_index=-100)
        loss.backward()  # type: ignore[no-untyped-call]
        yield torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None])


def published(case: Case, projects: bool) -> Tensor:
    """The baseline: the last gradient, or all projections."""
    found, held = [], []
    m, v = (torch.cat([pair[side] for pair in case.moments]) for side in (0, 1))
    last = torch.empty(0)
    for last in one_by_one(case):
        if not projects:
            continue
        held.append(last)
        if len(held) == GROUP:
            found.append(_projected(held, m, v, case.dim))
            held = []
    if held:
        found.append(_projected(held, m, v, case.dim))
    return torch.cat(found) if projects else last


def _projected(held: list[Tensor], m: Tensor, v: Tensor, dim: int) -> Tensor:
    rows = torch.stack(held)
    adam_direction(rows, m, v)
    return project(rows, 0, dim)


class Forget:
    """A sink that forms every block and keeps none."""

    def begin(self, rows: Sequence[int]) -> None:
        """Nothing to do."""

    def add(self, place: int, outputs: Tensor, inputs: Tensor) -> None:
        """Form the gradients of the rows."""
        self.last = torch.bmm(outputs.transpose(1, 2), inputs)

    def end(self) -> None:
        """Nothing to do."""

    def result(self) -> Tensor:
        """The last block."""
        return self.last


def tamis(case: Case, projects: bool, batch_tokens: int) -> Tensor:
    """Ours: the last block, or all projections."""
    sizes = case.lora.sizes
    sink = Dense(len(case.ids), sizes, dim=case.dim, turn=partial(turn, case))
    chosen = sink if projects else Forget()
    GradientPass(case.lm, case.lora, case.ids, case.positions, [chosen], batch_tokens).run()
    return chosen.result()


def measured(call: Callable[[], Tensor], case: Case, said: argparse.Namespace) -> dict[str, Any]:
    """Time a method; its peak of memory beyond model and moments."""
    with memory("cpu") as peak:
        found = call()
        most = peak()
    walls = []
    for _ in range(said.repeats):
        began = time.perf_counter()
        found = call()
        walls.append(time.perf_counter() - began)
    median = statistics.median(walls)
    return {
        "walls_s": [round(wall, 3) for wall in walls],
        "samples_per_s": round(len(case.ids) / median, 3),
        "peak_mb": round(most, 1),
        "norms": [round(norm, 5) for norm in found.reshape(len(found), -1).norm(dim=1).tolist()],
    }


def report(name: str, folder: str, n: int, said: argparse.Namespace) -> dict[str, Any]:
    """Measure every method on one shape."""
    case = case_of(folder, said, n)
    tokens = sum(map(len, case.ids))
    numbers = sum(case.lora.sizes)
    print(f"\n{name}, {len(case.ids)} rows of {tokens} tokens, {numbers:,} LoRA numbers")
    lines = []
    for what, projects in (("gradients", False), ("projection", True)):
        calls = {
            "one backward per row": partial(published, case, projects),
            "tamis": partial(tamis, case, projects, said.batch_tokens),
        }
        base, norms = None, None
        for method, call in calls.items():
            line = apart(method, partial(measured, call, case, said), "cpu") | {"what": what}
            rate = line.get("samples_per_s")
            base = base or rate
            found = np.array(line.pop("norms", []))
            if projects and norms is not None and len(found) == len(norms):
                line["largest_difference_of_norms"] = float(np.abs(found / norms - 1).max())
            norms = found if norms is None else norms
            line["times_baseline"] = round(rate / base, 2) if rate and base else None
            print(f"  {what:10} {method:22} {rate} samples/s  {line.get('peak_mb')} MB")
            lines.append(line)
    return {"model": name, "rows": len(case.ids), "tokens": tokens, "numbers": numbers} | {
        "methods": lines
    }


def main() -> None:
    """Run what was asked for and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=sorted(SHAPES), default=["small", "gpt2"])
    parser.add_argument("--data", type=Path, default=ROOT / "configs/quickstart/pool.jsonl")
    parser.add_argument("--rows", type=int, help="rows; by default as many as suit a shape")
    parser.add_argument("--model", help="a folder, in place of the shapes")
    parser.add_argument("--template", default="none")
    parser.add_argument("--dtype", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    if said.model:
        found.append(report(Path(said.model).name, said.model, said.rows or 128, said))
    for shape in () if said.model else said.shapes:
        name, sizes, n = SHAPES[shape]
        with tempfile.TemporaryDirectory() as folder:
            found.append(report(name, random_model(folder, sizes), said.rows or n, said))
    names = ("rank", "dim", "batch_tokens", "dtype", "template")
    settings = {name: getattr(said, name) for name in names}
    write(
        "gradients",
        said.out,
        {"versions": machine(), "data": said.data.name, "repeats": said.repeats}
        | settings
        | {"results": found},
    )


if __name__ == "__main__":
    main()
