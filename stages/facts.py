"""What checkpoint.json says of a checkpoint, and whether its files are those that were written."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ArtifactError

FACTS = "checkpoint.json"
FORMAT = {"format": "tamis-checkpoint", "version": 1}


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
    if "check" in facts and facts.pop("check") != _check_of(facts):
        raise ArtifactError(str(path), "is not what was written")
    rate, steps = facts.get("mean_learning_rate", 0.0), facts.get("steps", 0)
    if not isinstance(rate, int | float) or not 0 <= rate < math.inf:
        raise ArtifactError(str(path), f"mean_learning_rate is {rate!r}, not a number of 0 or more")
    if not isinstance(steps, int) or steps < 0:
        raise ArtifactError(str(path), f"steps is {steps!r}, not a whole number of 0 or more")
    return facts


def check_sum(folder: str, name: str) -> None:
    """Raise if a file is not the one that its checkpoint was written with.

    Raises:
        ArtifactError: so.
    """
    path = Path(folder) / name
    expected = facts_of(folder).get("sha256", {}).get(name)
    if expected is not None and _sha256(path) != expected:
        raise ArtifactError(str(path), f"is not what {FACTS} says was written")


def with_sums(folder: Path, names: Sequence[str], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts with the format, the checksums of some files in a folder, and one of it all."""
    said = FORMAT | dict(facts) | {"sha256": {name: _sha256(folder / name) for name in names}}
    return said | {"check": _check_of(said)}


def _check_of(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
