"""Models in Hugging Face format: their files, their config, and the model with all its weights."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError

if TYPE_CHECKING:  # heavy
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel

WEIGHTS = ("*.safetensors", "*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja", "*.py")
"""Files of a model; all but the first are small."""


WHOLE = {"BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"}
FLOATS = {"F32": "float32", "BF16": "bfloat16", "F16": "float16", "F64": "float64"}


def snapshot(model: str, revision: str | None, patterns: Sequence[str] = WEIGHTS) -> Path:
    """Return the folder of a model; of one of the hub, where it lies here: its name is the commit.

    Args:
        model: a folder, or a repository of the hub.
        revision: branch, tag or commit on the hub.
        patterns: which files are needed.

    Raises:
        ModelError: neither a folder nor to be had from the hub.
    """
    from huggingface_hub import snapshot_download  # needs the network
    from huggingface_hub.errors import (  # type: ignore[attr-defined] # it does not list HTTPError
        HFValidationError,
        HTTPError,  # of the library that it speaks HTTP with
        LocalEntryNotFoundError,
    )

    if Path(model).is_dir():
        return Path(model)
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=list(patterns)))
    except (HTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        at = f" at revision {revision!r}" if revision else ""
        raise ModelError(
            f"model {model!r}{at} is neither a folder nor to be had from the hub: "
            f"{first_line(error)}"
        ) from error


def text_config(
    model: str, revision: str | None, trust_remote_code: bool = False
) -> "PreTrainedConfig":
    """Return the config of a model's language part.

    Raises:
        ModelError: there is no such model, or its config cannot be read.
    """
    return _config(model, revision, trust_remote_code).get_text_config()


def skeleton(model: str, revision: str | None) -> "PreTrainedModel":
    """Return a causal LM without numbers: its modules, and the shapes of their weights.

    Raises:
        ModelError: there is no such model, or its config is none of a causal LM.
    """
    import torch  # heavy
    from transformers import AutoModelForCausalLM

    config = _config(model, revision)
    try:
        with torch.device("meta"):
            found: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    except Exception as error:  # broken configs fail in any way there is
        raise ModelError(f"model {model!r} cannot be loaded: {first_line(error)}") from error
    return found


def _config(
    model: str, revision: str | None, trust_remote_code: bool = False
) -> "PreTrainedConfig":
    from transformers import AutoConfig  # heavy

    folder = snapshot(model, revision, ["config.json"])
    if not (folder / "config.json").is_file():
        raise ModelError(f"model {model!r}: the folder has no config.json")
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # broken configs fail in any way there is
        raise ModelError(
            f"the config of model {model!r} cannot be read: {first_line(error)}"
        ) from error


def pretrained(
    model: str,
    revision: str | None = None,
    dtype: "torch.dtype | str" = "auto",
    attention: str = "auto",
    trust_remote_code: bool = False,
) -> "PreTrainedModel":
    """Load a causal LM with all its weights.

    Args:
        model: a folder, or a repository of the hub.
        revision: branch, tag or commit on the hub.
        dtype: of the weights; auto: as they are stored.
        attention: auto, eager, sdpa or flash_attention_2.
        trust_remote_code: run code that comes with the model.

    Raises:
        ModelError: no such model, no safetensors weights, or some are missing.
    """
    from transformers import AutoModelForCausalLM  # heavy
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    folder = snapshot(model, revision)
    try:
        lm, loading = AutoModelForCausalLM.from_pretrained(
            folder,
            output_loading_info=True,
            dtype=dtype,
            use_safetensors=True,
            attn_implementation=None if attention == "auto" else attention,
            trust_remote_code=trust_remote_code,
        )
    except Exception as error:  # broken configs and weights fail in any way there is
        raise ModelError(f"model {model!r} cannot be loaded: {first_line(error)}") from error
    absent = sorted([*loading["missing_keys"], *map(str, loading["mismatched_keys"])])
    if absent:  # transformers would go on with random numbers in their place
        raise ModelError(f"model {model!r} lacks the weights {', '.join(absent[:5])}")
    return lm


def n_weights(model: str, revision: str | None) -> int:
    """Return how many numbers the weights of a model are; reads the heads of its files alone.

    Raises:
        ModelError: there is no such model.
    """
    from safetensors import safe_open

    found = 0
    for path in sorted(snapshot(model, revision).glob("*.safetensors")):
        with safe_open(path, "numpy") as file:
            found += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return found


def stored_dtype(folder: Path) -> "torch.dtype":
    """Return the dtype that the weights of a folder have.

    Raises:
        ModelError: several, so that loading the model in one of them would change the others.
    """
    import torch  # heavy
    from safetensors import safe_open

    found: set[str] = set()
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            found |= {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    kinds = sorted(found - WHOLE)
    if len(kinds) != 1 or kinds[0] not in FLOATS:
        raise ModelError(
            f"{str(folder)!r}: the weights are {' and '.join(kinds) or 'not there'}; a model to "
            f"prune needs safetensors of one of {', '.join(FLOATS)}"
        )
    found_dtype: torch.dtype = getattr(torch, FLOATS[kinds[0]])
    return found_dtype


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
