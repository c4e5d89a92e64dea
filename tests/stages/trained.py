"""Random adapters with moments on tiny models, as a warm-up would leave them."""

from pathlib import Path

import torch
from tamis.stages import models
from tamis.stages.adapters import Lora, attach_new
from tamis.stages.checkpoints import write_checkpoint
from tamis.stages.models import LM

SETTINGS = {"r": 4, "lora_alpha": 8.0, "lora_dropout": 0.1}


def adapted(folder: Path, seed: int = 0) -> tuple[LM, Lora]:
    """A model with random adapters on it."""
    lm = models.load(str(folder))
    lora = attach_new(lm, str(folder), SETTINGS, ())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():  # B is zero in a fresh adapter, and then A has no gradient
        for weight in lora.parameters.values():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    return lm, lora


def make_checkpoints(model: Path, folder: Path, n: int = 2, moments: bool = True) -> list[str]:
    """Folders of random checkpoints of a model."""
    made = []
    for number in range(1, n + 1):
        _, lora = adapted(model, seed=number)
        generator = torch.Generator().manual_seed(100 + number)
        pairs = {
            name: tuple(torch.randn(p.shape, generator=generator) * 1e-3 for _ in "mv")
            for name, p in lora.parameters.items()
        }
        pairs = {name: (m, v.square()) for name, (m, v) in pairs.items()}
        facts = {"steps": 3 * number, "mean_learning_rate": 1e-5 / number}
        path = folder / f"checkpoint-{number}"
        write_checkpoint(path, lora.settings, lora.parameters, pairs, facts)
        if not moments:
            for name in ("moments.safetensors", "checkpoint.json"):
                (path / name).unlink()
        made.append(str(path))
    return made
