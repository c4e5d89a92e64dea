"""Trains the language model of the quickstart on generated clean rows."""

import math
import time
from collections.abc import Iterator, Set
from dataclasses import dataclass
from itertools import islice
from random import Random

import torch
from example import Question
from make_pool import drawn_rows
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

BATCHES_PER_CHUNK = 32
IGNORED = -100
"""Label that the loss of transformers leaves out."""


@dataclass(frozen=True)
class Schedule:
    """How the model is trained."""

    steps: int
    batch_tokens: int = 2500
    peak_rate: float = 4e-3
    warmup: int = 200
    alone: float = 0.2
    seed: int = 1000

    def rate(self, step: int) -> float:
        """Returns the learning rate of a step: a linear warm-up, then a cosine down to zero."""
        warm = min(1.0, (step + 1) / self.warmup)
        return self.peak_rate * warm * 0.5 * (1 + math.cos(math.pi * step / self.steps))


def sequences(
    tokenizer: PreTrainedTokenizerFast, rng: Random, taken: Set[Question], alone: float
) -> Iterator[list[int]]:
    """Yields token ids of clean rows: prompt and answer, or for a share of them the answer."""
    for row in drawn_rows(rng, taken):
        prompt = "" if rng.random() < alone else row.example.question.prompt
        ids: list[int] = tokenizer(prompt + row.example.output)["input_ids"]
        yield [*ids, tokenizer.eos_token_id]


def batches(stream: Iterator[list[int]], rng: Random, tokens: int) -> Iterator[list[list[int]]]:
    """Yields groups of sequences of similar length, padded at most `tokens` tokens each."""
    while True:
        # About 64 tokens a sequence; enough of them that the groups come out of equal length.
        chunk = sorted(islice(stream, BATCHES_PER_CHUNK * tokens // 64), key=len)
        groups: list[list[list[int]]] = [[]]
        for ids in chunk:
            if (len(groups[-1]) + 1) * len(ids) > tokens:
                groups.append([])
            groups[-1].append(ids)
        rng.shuffle(groups)
        yield from groups


def padded(group: list[list[int]], filler: int) -> Tensor:
    """Returns the sequences as one tensor, filled up on the right."""
    width = max(map(len, group))
    return torch.tensor([ids + [filler] * (width - len(ids)) for ids in group])


def optimisers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Returns Muon for the matrices of the layers and AdamW for the embeddings and norms."""
    layers = dict(model.model.layers.named_parameters())
    matrices = [weight for weight in layers.values() if weight.ndim == 2]
    chosen = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in chosen]
    # With this adjustment both take the same learning rate.
    return [
        torch.optim.Muon(matrices, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    schedule: Schedule,
    taken: Set[Question],
) -> None:
    """Trains the model in place on rows of which no question is taken; prints the loss in nats."""
    rng = Random(schedule.seed)
    stream = sequences(tokenizer, rng, taken, schedule.alone)
    both = optimisers(model)
    source = batches(stream, Random(schedule.seed + 1), schedule.batch_tokens)
    start, smooth = time.monotonic(), 0.0
    for step, batch in enumerate(islice(source, schedule.steps)):
        for options in (group for each in both for group in each.param_groups):
            options["lr"] = schedule.rate(step)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(
                input_ids=padded(batch, tokenizer.eos_token_id), labels=padded(batch, IGNORED)
            ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for each in both:
            each.step()
            each.zero_grad()
        smooth = loss.item() if step == 0 else 0.98 * smooth + 0.02 * loss.item()
        if (step + 1) % 100 == 0:
            print(
                f"step {step + 1}: loss {smooth:.3f}, {time.monotonic() - start:.0f} s", flush=True
            )
