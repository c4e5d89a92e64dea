"""The checkpoints that a warm-up leaves, and adapters from elsewhere.

A checkpoint is a folder:

    adapter_config.json, adapter_model.safetensors   an adapter in peft's format
    moments.safetensors     Adam's moments as fp32: `m.<name>` and `v.<name>` for every `<name>` of
                            adapter_model.safetensors
    checkpoint.json         {"format": "tamis-checkpoint", "version": 1, "epoch", "epochs", "steps"
                            (so far), "rows", "mean_learning_rate" (of the epoch), "losses" (nats
                            per answer token, of each step of the epoch), "loss" (their mean)}

An adapter trained elsewhere has the first line alone.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import ArtifactError, ModelError
from .models import resolve_revision

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MOMENTS, FACTS = "moments.safetensors", "checkpoint.json"
FORMAT = {"format": "tamis-checkpoint", "version": 1}
KIND = ("r", "lora_alpha", "lora_dropout", "use_rslora", "rank_pattern", "alpha_pattern")
"""Settings of adapter_config.json that decide how adapters compute."""


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
    for field in ("modules_to_save", "trainable_token_indices", "target_parameters"):
        if said.get(field):
            raise ModelError(f"adapter {folder!r}: {field} is set; only plain LoRA is read")
    return said


def read_weights(folder: str) -> dict[str, Tensor]:
    """Return the weights of a folder's adapter by peft's names.

    Raises:
        ModelError: no adapter there.
        ArtifactError: its file is damaged.
    """
    adapter_settings(folder)
    return _read_tensors(Path(folder) / WEIGHTS)


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
    path = Path(folder) / MOMENTS
    flat = _read_tensors(path)
    expected = {f"{kind}.{name}": some.shape for kind in "mv" for name, some in like.items()}
    if {name: some.shape for name, some in flat.items()} != expected:
        raise ArtifactError(str(path), f"is not of the parameters in {WEIGHTS}")
    return {name: (flat[f"m.{name}"], flat[f"v.{name}"]) for name in like}


def facts_of(folder: str) -> Mapping[str, Any]:
    """Return what a folder's checkpoint.json says; nothing where there is none.

    Raises:
        ArtifactError: it is damaged, or of another format.
    """
    path = Path(folder) / FACTS
    if not path.is_file():
        return {}
    try:
        facts = dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise ArtifactError(str(path), str(error)) from error
    if {name: facts.get(name) for name in FORMAT} != FORMAT:
        raise ArtifactError(str(path), f"is not of the format {FORMAT}")
    return facts


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
    for name, value in ((CONFIG, settings), (FACTS, FORMAT | dict(facts))):
        (aside / name).write_text(json.dumps(value, indent=1) + "\n", "utf-8")
    for file in aside.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    if is_whole(folder):
        shutil.rmtree(aside)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ArtifactError(str(path), str(error).splitlines()[0]) from error
