"""Measures how well the losses of a model tell the planted faults of a pool from clean rows.

Run from anywhere: ``python configs/quickstart/separation.py [--model DIR] [--rows N]``.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from faults import PLANTS
from make_pool import POOL_ROWS, POOL_SEED, Row, pool_rows
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

MODEL_FOLDER = Path(__file__).parent / "model"
BATCH_ROWS = 64
MEASURED_SEEDS = {8: "a pool of another seed", POOL_SEED: "the embedded pool"}
"""Seeds of the measured pools; the questions of both are kept out of training."""


class Losses(NamedTuple):
    """Mean loss per answer token in nats, for every row: given its prompt, and alone."""

    given: NDArray[np.float64]
    alone: NDArray[np.float64]

    def ratio(self) -> NDArray[np.float64]:
        """Returns the IFD ratio: perplexity given the prompt over perplexity alone."""
        return np.exp(self.given - self.alone)

    def where(self, mask: NDArray[np.bool_]) -> "Losses":
        """Returns the losses of the rows that the mask selects."""
        return Losses(self.given[mask], self.alone[mask])


def answer_losses(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[tuple[str, str]]
) -> NDArray[np.float64]:
    """Returns the mean loss in nats of each answer after its prompt (of (prompt, answer) pairs)."""
    window = model.config.max_position_embeddings
    encoded = []
    for prompt, answer in pairs:
        head: list[int] = tokenizer(prompt)["input_ids"]
        tail: list[int] = tokenizer(answer, add_special_tokens=False)["input_ids"]
        encoded.append((len(head), (head + tail)[:window]))
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i][1]))
    losses = np.zeros(len(encoded))
    for first in range(0, len(order), BATCH_ROWS):
        chosen = order[first : first + BATCH_ROWS]
        losses[chosen] = batch_losses(model, [encoded[i] for i in chosen]).numpy()
    return losses


@torch.no_grad()
def batch_losses(model: LlamaForCausalLM, rows: list[tuple[int, list[int]]]) -> Tensor:
    """Returns the mean loss of every row over the tokens from its given start on."""
    width = max(len(ids) for _, ids in rows)
    tokens = torch.tensor([ids + [0] * (width - len(ids)) for _, ids in rows])
    logits = model(input_ids=tokens).logits[:, :-1]
    losses = cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
    places = torch.arange(1, width)
    starts = torch.tensor([[start] for start, _ in rows])
    ends = torch.tensor([[len(ids)] for _, ids in rows])
    scored = (places >= starts) & (places < ends)
    return (losses * scored).sum(1) / scored.sum(1)


def pool_losses(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, pool: Sequence[Row]
) -> Losses:
    """Returns both losses of every row of the pool."""
    given = answer_losses(model, tokenizer, [(row.question.prompt, row.output) for row in pool])
    alone = answer_losses(model, tokenizer, [("", row.output) for row in pool])
    return Losses(given, alone)


def area(found: NDArray[np.float64], clean: NDArray[np.float64]) -> float:
    """Returns the AUC: how often a faulty row scores above a clean one, ties counting half."""
    gaps = found[:, None] - clean[None, :]
    return float((gaps > 0).mean() + 0.5 * (gaps == 0).mean())


def separation_table(losses: Losses, pool: Sequence[Row]) -> str:
    """Returns a Markdown table with a row per fault: mean losses and AUC against clean rows."""
    faults = np.array([row.fault for row in pool])
    clean = losses.where(faults == "none")
    lines = [
        "| fault | rows | loss given | loss alone | IFD ratio "
        "| AUC high given | AUC high ratio | AUC low given |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for fault in ("none", *PLANTS, "duplicated"):
        part = losses.where(faults == fault)
        means = [part.given.mean(), part.alone.mean(), part.ratio().mean()]
        by_loss = area(part.given, clean.given)
        areas = [by_loss, area(part.ratio(), clean.ratio()), 1 - by_loss]
        shown = ["-" if fault == "none" else f"{value:.3f}" for value in areas]
        cells = [fault, str(len(part.given)), *(f"{value:.3f}" for value in means), *shown]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def report(folder: Path, rows: int) -> None:
    """Prints how the stored model separates the faults of both measured pools."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for seed, title in MEASURED_SEEDS.items():
        pool = pool_rows(seed, rows)
        print(f"\nOn {title}:\n\n{separation_table(pool_losses(model, tokenizer, pool), pool)}")


def main() -> None:
    """Measures a stored model."""
    parser = argparse.ArgumentParser(description="Measure the model of the quickstart.")
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--rows", type=int, default=POOL_ROWS, help="rows of each pool")
    args = parser.parse_args()
    report(args.model, args.rows)


if __name__ == "__main__":
    main()
