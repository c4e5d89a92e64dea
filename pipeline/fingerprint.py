"""The name of a result: a hash of what made it, and of nothing else.

Paths, workers, dates and log levels never enter. The encoder raises on anything that has no single
spelling, and the hashed text is kept in the manifest, so that a miss can be read as a difference.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ..errors import ContractError


def canonical(value: Any) -> str:  # noqa: ANN401 - any value there is, or an error
    """Return the one JSON text of a value.

    Raises:
        ContractError: a value without one spelling, such as a function or a set.
    """
    _check(value, "")
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def key(text: str) -> str:
    """Return the name of a canonical text: the first 16 digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check(value: object, path: str) -> None:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise ContractError(f"cannot name a result: key {name!r} at {path or 'top'}")
            _check(inner, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            _check(inner, f"{path}[{place}]")
    elif not (value is None or isinstance(value, bool | int | float | str)):
        kind = type(value).__name__
        raise ContractError(f"cannot name a result: {kind} at {path or 'top'} has no one spelling")
