"""Removal of whole decoder layers.

last       those before the final one (Gromov et al. 2024, arXiv 2403.17887, their simple rule)
influence  those of least influence 1 - mean cos(x_in, x_out), over all tokens of the
           calibration rows, in the whole model (Men et al. 2024, arXiv 2403.03853); of equal
           ones the first
"""

from typing import TYPE_CHECKING

import torch
from torch import nn

from ...errors import ConfigError
from .blocks import decoder_blocks
from .replay import Replay

if TYPE_CHECKING:  # heavy
    from transformers import PreTrainedConfig, PreTrainedModel


def last_layers(n_layers: int, n: int) -> list[int]:
    """Return the n layers before the final one of so many."""
    return list(range(n_layers - 1 - n, n_layers - 1))


def least_influence(influences: list[float], n: int) -> list[int]:
    """Return the n layers of least influence, ascending."""
    order = sorted(range(len(influences)), key=lambda layer: (influences[layer], layer))
    return sorted(order[:n])


@torch.no_grad()
def influences_of(replay: Replay) -> list[float]:
    """Return the influence of every block: 1 - the mean cosine between what goes in and comes out.

    Raises:
        ModelError: a family whose blocks cannot be called one by one.
    """
    found = []
    for _ in replay.blocks:
        before = replay.states
        replay.advance()
        total, n = 0.0, 0
        for row, after in zip(before, replay.states, strict=True):
            cosines = nn.functional.cosine_similarity(row.double(), after.double(), dim=-1)
            total, n = total + float(cosines.sum()), n + cosines.numel()
        found.append(1 - total / n)
    replay.check()
    return found


def check_layers(n_layers: int, n: int) -> None:
    """Check that a model has more layers than are to be removed.

    Raises:
        ConfigError: it does not.
    """
    if n >= n_layers:
        raise ConfigError(f"layers is {n}, but the model has {n_layers}, of which one must stay")


def remove_layers(lm: "PreTrainedModel", gone: list[int]) -> None:
    """Remove decoder layers from a model and from its config, in place.

    Those that stay keep their numbers in the cache, so run it without one, or written and loaded.
    """
    name, blocks = decoder_blocks(lm)
    kept = [number for number in range(len(blocks)) if number not in gone]
    parent, _, own = name.rpartition(".")
    setattr(lm.get_submodule(parent), own, nn.ModuleList(blocks[number] for number in kept))
    _shorten(lm.config.get_text_config(), len(blocks), kept)


def _shorten(config: "PreTrainedConfig", n_layers: int, kept: list[int]) -> None:
    """Let a config say how many layers are left, also where it says something of each."""
    for name, value in list(vars(config).items()):
        of_layers = isinstance(value, list | tuple) and len(value) == n_layers and "layer" in name
        if of_layers:
            setattr(config, name, [value[number] for number in kept])
    config.num_hidden_layers = len(kept)
