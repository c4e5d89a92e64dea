"""The checkpoints that a warm-up leaves, and adapters from elsewhere.

A checkpoint is a folder:

    adapter_config.json, adapter_model.safetensors   an adapter in peft's format
    moments.safetensors     Adam's moments as fp32: `m.<name>` and `v.<name>` for every `<name>` of
                            adapter_model.safetensors
    checkpoint.json         {"format": "tamis-checkpoint", "version": 1, "epoch", "epochs", "steps"
                            (so far), "rows", "mean_learning_rate" (of the epoch), "losses" (nats
                            per answer token, of each step of the epoch), "loss" (their mean),
                            "sha256": {file: of each of the three above}, "check": of all this}

An adapter trained elsewhere has the first line alone.
"""

import errno
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import ArtifactError, ModelError
from .facts import FACTS, check_sum, facts_of, with_sums
from .models import resolve_revision
from .warmup import normalised

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MOMENTS = "moments.safetensors"
KIND = ("r", "lora_alpha", "lora_dropout", "use_rslora", "rank_pattern", "alpha_pattern")
"""Settings of adapter_config.json that decide how adapters compute."""

HARMLESS = (
    *("peft_type", "peft_version", "task_type", "auto_mapping", "base_model_name_or_path"),
    *("revision", "inference_mode", "runtime_config", "target_modules", "exclude_modules"),
    *("layers_to_transform", "layers_pattern", "fan_in_fan_out", "bias", "init_lora_weights"),
    *("megatron_config", "megatron_core", "loftq_config", "qalora_group_size"),
)
"""Settings that may be anything, or are checked by themselves; all others but KIND must be off."""
BASE_STAYS = (None, True, False, "gaussian", "orthogonal")
"""Values of `init_lora_weights` that leave the model's own weights as they are."""


class _Kind(BaseModel):
    """The types of KIND, as peft writes them."""

    r: int = Field(ge=1, strict=True)
    lora_alpha: float = Field(gt=0, strict=True, allow_inf_nan=False)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1, strict=True)
    use_rslora: bool | None = Field(default=None, strict=True)
    rank_pattern: dict[str, int] | None = None
    alpha_pattern: dict[str, float] | None = None


def check_alike(folders: Sequence[str]) -> None:
    """Raise unless the adapters of all folders compute in the same way.

    Raises:
        ModelError: two have other settings; or as `adapter_settings`.
    """
    kinds = []
    for folder in folders:
        said = adapter_settings(folder)
        kinds.append({name: said.get(name) or None for name in KIND if name != "lora_dropout"})
    for folder, kind in zip(folders, kinds, strict=True):
        for name, value in kind.items():
            if value != kinds[0][name]:
                raise ModelError(
                    f"adapters {folders[0]!r} and {folder!r} are not alike: {name} is "
                    f"{kinds[0][name]!r} and {value!r}"
                )


def content_of(folder: str) -> str:
    """Return what names a checkpoint's content: a checksum of its files.

    Raises:
        ModelError: no such folder, or no adapter in it.
    """
    adapter_settings(folder)
    return resolve_revision(folder, None, CONFIG)


def adapter_settings(folder: str) -> dict[str, Any]:
    """Return what a folder's adapter_config.json says of a plain LoRA adapter.

    Raises:
        ModelError: there is none, or it is of another kind.
    """
    path = Path(folder)
    for name in (CONFIG, WEIGHTS):
        if not (path / name).is_file():
            raise ModelError(
                f"adapter {folder!r}: the folder has no {name}; an adapter in peft's format with "
                f"safetensors weights is needed"
            )
    check_sum(folder, CONFIG)
    try:
        said = dict(json.loads((path / CONFIG).read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise ModelError(f"adapter {folder!r}: {CONFIG} is not a JSON object: {error}") from error
    plain = {"peft_type": ("LORA",), "bias": ("none", None), "use_dora": (False, None)}
    for field, allowed in plain.items():
        if (value := said.get(field)) not in allowed:
            raise ModelError(
                f"adapter {folder!r}: {field} is {value!r}; only plain LoRA is read "
                f"({field}: {allowed[0]})"
            )
    for field in sorted(said.keys() - {*KIND, *HARMLESS}):
        if said[field]:
            raise ModelError(f"adapter {folder!r}: {field} is set; only plain LoRA is read")
    if (value := said.get("init_lora_weights")) not in BASE_STAYS:
        raise ModelError(
            f"adapter {folder!r}: init_lora_weights is {value!r}, which changes the model's own "
            f"weights; only plain LoRA is read"
        )
    try:
        _Kind.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ModelError(
            f"adapter {folder!r}: {CONFIG}: {where} is {first['input']!r}: {first['msg']}"
        ) from error
    return said


def read_weights(folder: str) -> dict[str, Tensor]:
    """Return the weights of a folder's adapter by peft's names.

    Raises:
        ModelError: no adapter there.
        ArtifactError: its file is damaged.
    """
    adapter_settings(folder)
    return _read_tensors(folder, WEIGHTS)


def has_moments(folder: str) -> bool:
    """Return whether a checkpoint holds Adam's moments."""
    return (Path(folder) / MOMENTS).is_file()


def read_moments(folder: str, like: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return Adam's moments (m, v) of a checkpoint by parameter.

    Args:
        folder: of the checkpoint.
        like: the parameters by peft's names, which say what must be there.

    Raises:
        ModelError: there are none.
        ArtifactError: the file is damaged, or not of these parameters.
    """
    if not has_moments(folder):
        raise ModelError(
            f"adapter {folder!r} has no {MOMENTS}, which Adam's direction needs; take adapters "
            f"that `tamis warmup` has trained, or set direction: plain"
        )
    flat = _read_tensors(folder, MOMENTS)
    expected = {f"{kind}.{name}": some.shape for kind in "mv" for name, some in like.items()}
    if {name: some.shape for name, some in flat.items()} != expected:
        raise ArtifactError(str(Path(folder) / MOMENTS), f"is not of the parameters in {WEIGHTS}")
    return {name: (flat[f"m.{name}"], flat[f"v.{name}"]) for name in like}


def checkpoint_weights(folders: Sequence[str], given: Sequence[float]) -> np.ndarray:
    """Return the weight of each checkpoint, (checkpoints,) float64, together 1.

    Args:
        folders: of the checkpoints.
        given: their weights; by default the mean learning rates, or equal ones where none is known.

    Raises:
        ModelError: another number of weights than folders, learning rates of some alone, or all 0.
    """
    if given:
        if len(given) != len(folders):
            raise ModelError(f"{len(given)} weights for {len(folders)} adapters")
        return normalised(given)
    rates = [facts_of(folder).get("mean_learning_rate") for folder in folders]
    known = [float(rate) for rate in rates if rate is not None]
    if known and len(known) < len(rates):
        lacking = folders[rates.index(None)]
        raise ModelError(
            f"adapter {lacking!r} has no checkpoint.json with a learning rate, others have; "
            f"give `weights`"
        )
    if known and not any(known):
        raise ModelError(
            f"adapter {folders[0]!r}: the learning rate was 0 in every step, so nothing was "
            f"trained; take more steps (a smaller warmup.batch) or warmup.warmup_ratio: 0"
        )
    return normalised(known or [1.0] * len(rates))


def is_whole(folder: Path) -> bool:
    """Return whether a folder has every file of a checkpoint."""
    return all((folder / name).is_file() for name in (CONFIG, WEIGHTS, MOMENTS, FACTS))


def write_checkpoint(
    folder: Path,
    settings: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    moments: Mapping[str, tuple[Tensor, Tensor]],
    facts: Mapping[str, Any],
) -> None:
    """Write a checkpoint, whole or not at all; a whole one that stands there stays as it is.

    Args:
        folder: which it becomes.
        settings: of adapter_config.json.
        weights: of the adapters, by peft's names.
        moments: (m, v) by the same names.
        facts: of checkpoint.json.
    """
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    # contiguous copies: safetensors refuses views; the metadata is what peft writes
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    save_file(plain, aside / WEIGHTS, metadata={"format": "pt"})
    flat = {
        f"{kind}.{name}": tensor.detach().cpu().contiguous()
        for name, pair in moments.items()
        for kind, tensor in zip("mv", pair, strict=True)
    }
    save_file(flat, aside / MOMENTS, metadata={"format": "pt"})
    (aside / CONFIG).write_text(json.dumps(settings, indent=1) + "\n", "utf-8")
    said = with_sums(aside, (CONFIG, WEIGHTS, MOMENTS), facts)
    (aside / FACTS).write_text(json.dumps(said, indent=1) + "\n", "utf-8")
    for file in aside.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    try:
        aside.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if not is_whole(folder):  # a file of it was damaged and set aside
            folder.rename(broken := aside.with_suffix(".broken"))
            shutil.rmtree(broken)
            aside.rename(folder)
        else:
            shutil.rmtree(aside)


def _read_tensors(folder: str, name: str) -> dict[str, Tensor]:
    path = Path(folder) / name
    check_sum(folder, name)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ArtifactError(str(path), str(error).splitlines()[0]) from error
