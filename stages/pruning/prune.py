"""Prunes a causal language model and writes it as a folder in Hugging Face format.

Weights of the linear layers in the decoder blocks become zero, or whole blocks go; embeddings, LM
head, norms and biases stay as they are, bit by bit, and so does the dtype. Experts that are held as
one tensor are no linear layers and stay too: `blocks_share` says how much of the blocks is zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from ...errors import ConfigError, ModelError
from ..hardware import check_device
from ..models import resolve_revision
from ..pretrained import pretrained, skeleton, snapshot, stored_dtype, text_config
from .blocks import decoder_blocks, linear_layers, rows_of
from .folder import check_free, write_folder
from .magnitude import check_pattern, prune_magnitude
from .removal import check_layers, influences_of, last_layers, least_influence, remove_layers
from .replay import Progress, Replay
from .settings import Pruning
from .wanda import prune_wanda

if TYPE_CHECKING:  # heavy
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Calibration:
    """Rows that a pruner looks at.

    Attributes:
        sequences: token ids of each, in order.
        seed: of their draw.
        template: that they were written in.
    """

    sequences: Sequence[Sequence[int]]
    seed: int
    template: str


def check(model: str, revision: str | None, out: Path, how: Pruning, device: str) -> None:
    """Check what can be checked before weights or rows are read.

    Args:
        model: a folder, or a repository of the hub.
        revision: branch, tag or commit on the hub.
        out: the folder to write.
        how: what to do.
        device: cpu or cuda.

    Raises:
        ConfigError: the folder exists, more layers than there are, or a revision of a folder.
        ModelError: no such model or GPU, a quantised model, or a pattern that does not fit it.
    """
    check_free(out)
    if revision is not None and Path(model).is_dir():
        raise ConfigError(
            f"revision {revision!r} is for models of the hub, but {model!r} is a folder"
        )
    check_device(model, device)
    if getattr(text_config(model, revision), "quantization_config", None):
        raise ModelError(f"model {model!r} is quantised; prune the model it was made of")
    _, blocks = decoder_blocks(skeleton(model, revision))
    check_pattern(blocks, how)
    if how.layers is not None:
        check_layers(len(blocks), how.layers)


def prune(
    model: str,
    revision: str | None,
    out: Path,
    how: Pruning,
    rows: Calibration | None = None,
    device: str = "cpu",
    progress: Progress = lambda rows, tokens: None,
) -> dict[str, Any]:
    """Prune a model; return what was done, which also stands in its folder as `pruned.json`.

    Args:
        model: a folder, or a repository of the hub.
        revision: branch, tag or commit on the hub.
        out: the folder to write; must not exist.
        how: what to do.
        rows: for methods that need them.
        device: cpu or cuda.
        progress: told of every row that goes through a block.

    Raises:
        ConfigError: rows are missing, or as `check`.
        ModelError: a model that cannot be used, or not so.
    """
    if how.needs_rows and rows is None:
        raise ConfigError(f"method {how.method} needs calibration rows")
    check(model, revision, out, how, device)
    original = snapshot(model, revision)
    lm = pretrained(model, revision, stored_dtype(original)).to(device).eval()
    lm.requires_grad_(False)
    _, blocks = decoder_blocks(lm)
    said: dict[str, Any] = {
        "method": how.method,
        "model": Path(model).name if Path(model).is_dir() else model,
        "content": resolve_revision(model, revision),
    }
    if rows is not None and how.needs_rows:
        tokens = sum(map(len, rows.sequences))
        said |= {"rows": len(rows.sequences), "tokens": tokens, "seed": rows.seed}
        said["template"] = rows.template
    if how.needs_rows:
        assert rows is not None
        replay = Replay(lm, list(blocks), rows.sequences, progress)
        said |= _prune_by_rows(lm, replay, how)
    else:
        said |= prune_by_weights(lm, how)
    if how.method != "layers":
        said |= {"share": how.share} if how.pattern is None else {"pattern": how.pattern}
        said |= zeros(blocks)
    write_folder(lm, original, out, said)
    return said


def prune_by_weights(lm: "PreTrainedModel", how: Pruning) -> dict[str, Any]:
    """Prune a model in place by a method that looks at no rows; return which layers went.

    Args:
        lm: in the dtype of its files, so that rounding makes no ties.
        how: magnitude, or the last layers.

    Raises:
        ConfigError: more layers than there are.
        ModelError: a layer that a pattern does not fit, or no decoder blocks.
    """
    _, blocks = decoder_blocks(lm)
    if how.method == "magnitude":
        prune_magnitude(blocks, how)
        return {}
    n = how.layers or 0
    check_layers(len(blocks), n)
    gone = last_layers(len(blocks), n)
    remove_layers(lm, gone)
    return {"rule": how.rule, "removed": gone, "of": len(blocks)}


def _prune_by_rows(lm: "PreTrainedModel", replay: Replay, how: Pruning) -> dict[str, Any]:
    """Prune a model in place by what rows do in it; return which layers went."""
    if how.method == "wanda":
        prune_wanda(replay, how)
        return {}
    n_layers, n = len(replay.blocks), how.layers or 0
    check_layers(n_layers, n)
    influences = influences_of(replay)
    gone = least_influence(influences, n)
    remove_layers(lm, gone)
    return {"rule": how.rule, "influences": influences, "removed": gone, "of": n_layers}


def zeros(blocks: nn.ModuleList) -> dict[str, Any]:
    """Return how much is zero now: of the linear layers, and of all that the blocks hold."""
    weights = [rows_of(layer) for block in blocks for layer in linear_layers(block).values()]
    n_zero = sum(int((weight == 0).sum()) for weight in weights)
    n_weights = sum(weight.numel() for weight in weights)
    n_blocks = sum(weight.numel() for weight in blocks.parameters())
    return {
        "weights": n_weights,
        "zeros": n_zero,
        "zero_share": n_zero / n_weights,
        "blocks_share": n_zero / n_blocks,
    }
