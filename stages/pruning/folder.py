"""A pruned model as an ordinary folder: weights, config, tokenizer, and what was done.

Everything but weights and config is copied from the original as it is. The folder is written under
another name, loaded again and compared with the model in memory before it gets its own name.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...errors import ConfigError, ModelError
from ..pretrained import WEIGHTS, first_line, pretrained

if TYPE_CHECKING:  # heavy
    from transformers import PreTrainedModel

SAID = "pruned.json"


def check_free(out: Path) -> None:
    """Check that a folder can be made.

    Raises:
        ConfigError: something is there already.
    """
    if out.exists():
        raise ConfigError(f"{str(out)!r} is there already; name a folder that is not")


def write_folder(lm: "PreTrainedModel", original: Path, out: Path, said: Mapping[str, Any]) -> None:
    """Write a model as a folder, whole or not at all.

    Args:
        lm: the pruned model.
        original: the folder it was loaded from.
        out: must not exist.
        said: what was done.

    Raises:
        ModelError: the folder does not give what the model in memory gives.
    """
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _copy_rest(original, partial)
        lm.save_pretrained(partial)
        facts = dict(said) | _said_before(original)
        (partial / SAID).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
        _check_alike(lm, partial)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _said_before(original: Path) -> dict[str, Any]:
    """What an original that was pruned itself says of that."""
    path = original / SAID
    if not path.is_file():
        return {}
    try:
        return {"before": json.loads(path.read_text("utf-8"))}
    except ValueError as error:
        raise ModelError(f"{str(path)!r} is not readable JSON: {first_line(error)}") from error


def _copy_rest(original: Path, folder: Path) -> None:
    """Copy tokenizer, chat template and the like."""
    for path in sorted({path for pattern in WEIGHTS[1:] for path in original.glob(pattern)}):
        if path.name not in ("config.json", SAID) and not path.name.endswith(".index.json"):
            shutil.copyfile(path, folder / path.name)


@torch.no_grad()
def _check_alike(lm: "PreTrainedModel", folder: Path) -> None:
    vocab = lm.get_input_embeddings().num_embeddings
    ids = torch.randint(vocab, (2, 16), generator=torch.Generator().manual_seed(0)).to(lm.device)
    again = pretrained(str(folder), dtype=lm.dtype).to(lm.device).eval()
    states = [one.base_model(input_ids=ids, use_cache=False)[0].float() for one in (lm, again)]
    if not torch.allclose(states[0], states[1], rtol=1e-3, atol=1e-3):
        raise ModelError(
            f"{type(lm).__name__}: written and loaded again, the pruned model gives other numbers; "
            f"this family cannot be pruned so"
        )
