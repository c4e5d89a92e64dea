"""Models: whether losses from hidden states and head are those of the model's own logits."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ...errors import TamisError
from ..load import PACKAGED
from .finding import Check, Finding

EMBEDDED = PACKAGED / "quickstart" / "model"


def model_checks(models: list[str]) -> Iterator[Check]:
    """Yield a check of the model that comes along, and of others."""
    yield partial(model, str(EMBEDDED), "model, embedded")
    for place in models:
        yield partial(model, place, f"model {Path(place).name or place}")


def model(place: str, name: str) -> Finding:
    """Load a model as a run does, which checks it against its own logits.

    Args:
        place: a folder, or a repository of the hub.
        name: of the line.
    """
    try:
        from ...stages.hardware import gpus, resolve_dtype
        from ...stages.models import load

        device = "cuda" if gpus() else "cpu"
        dtype = resolve_dtype("auto", device)
        lm = load(place, dtype=dtype, device=device, kernel="auto")
    except (ImportError, OSError) as error:
        return Finding(name, "MAJOR", f"libraries are broken: {error}", "see their lines above")
    except TamisError as error:
        advice = "no run can use it; models of the families that the README names can be used"
        return Finding(name, "MAJOR", str(error), advice)
    kind, words = type(lm.backbone).__name__, len(lm.tokenizer)
    said = f"{kind}, {words:,} tokens, {dtype} on {device} by {lm.kernel}: as its own logits"
    return Finding(name, "OK", said)
