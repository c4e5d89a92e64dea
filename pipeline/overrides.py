"""What the command line says on top of a config, put into its keys before it is checked."""

import glob
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError
from ..stages.locations import is_address
from . import lookup

NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
LIMITS = ("max_hours", "max_cost", "price")
OF_TEXTS = "embedding"  # the signal whose model is no language model


@dataclass(frozen=True)
class Overrides:
    """Values that take the place of a config's; None or empty leaves it as it is.

    Attributes:
        data: paths or hub ids in place of `data`, whose `labels` go with them; one string may hold
            several, as in a shell.
        model: for every signal that has a language model; without one, for the models of texts.
        budget: rows (`1000`), fraction (`0.05`) or percent (`5%`).
        limit: read only the first so many records of every entry of `data`.
        out, store, engine, dtype: as the keys of the config.
        sets: `key.path=value`, applied last; the value is YAML.
        max_hours, max_cost, price: as the keys of `limits`.
        values: by their paths, as they are, applied after all others.
    """

    data: Sequence[str] = ()
    model: str | None = None
    budget: str | None = None
    limit: int | None = None
    out: str | None = None
    store: str | None = None
    engine: str | None = None
    dtype: str | None = None
    sets: Sequence[str] = ()
    max_hours: float | None = None
    max_cost: float | None = None
    price: float | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, raw: dict[str, Any]) -> None:
        """Put the values into a config as it was read.

        Raises:
            ConfigError: a value that cannot be put anywhere.
        """
        if self.data:
            raw["data"] = _sources(self.data)
            raw.pop("labels", None)  # a column of the rows that were there
        if self.limit is not None:
            for entry in blocks(raw, "data"):
                entry["limit"] = self.limit
        self._to_signals(raw)
        if self.budget is not None:
            raw["budget"] = parse_budget(self.budget)
        keys: dict[str, object] = {"out": self.out, "store": self.store, "engine.kind": self.engine}
        keys |= {f"limits.{name}": getattr(self, name) for name in LIMITS}
        for key, value in keys.items():
            if value is not None:
                _set(raw, key, value)
        for text in self.sets:
            _set(raw, *_parse_set(text))
        for path, given in self.values.items():
            _set(raw, path, given)

    def _to_signals(self, raw: dict[str, Any]) -> None:
        if self.model is not None:
            having = _signals_with(raw, "model", self.model)
            for block in [b for b in having if b.get("use") != OF_TEXTS] or having:
                block["model"] = _absolute(self.model)
                block.pop("revision", None)
        if self.dtype is not None:
            for block in _signals_with(raw, "dtype", self.dtype):
                block["dtype"] = self.dtype


def blocks(raw: Mapping[str, Any], *sections: str) -> list[dict[str, Any]]:
    """Return the `use:` blocks of some sections of a config as it was read."""
    found: list[Any] = []
    for section in sections:
        inside = raw.get(section)
        if isinstance(inside, dict) and "use" not in inside:
            found += inside.values()
        else:
            found += inside if isinstance(inside, list) else [inside]
    return [block for block in found if isinstance(block, dict)]


def parse_budget(text: str) -> dict[str, float | int]:
    """Return the budget that a text names: `5%` and `0.05` are shares of the pool, `1000` rows.

    Raises:
        ConfigError: it names none.
    """
    spelled = text.strip()
    try:
        if spelled.endswith("%"):
            return {"fraction": float(spelled[:-1]) / 100}
        if re.fullmatch(r"[0-9_]+", spelled):
            return {"rows": int(spelled)}
        return {"fraction": float(spelled)}
    except ValueError as error:
        raise ConfigError(f"budget {text!r} is none; write 5%, 0.05 or 1000 (rows)") from error


def exists(path: str) -> bool:
    """Return whether a path is a file, a folder, a glob, or an address."""
    return is_address(path) or Path(path).expanduser().exists() or glob.has_magic(path)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute()) if _is_one(path) else path


def _is_one(text: str) -> bool:
    return exists(text) and not is_address(text)  # several addresses start as one does


def _sources(texts: Sequence[str]) -> list[dict[str, str]]:
    try:
        paths = [
            path for text in texts for path in ([text] if _is_one(text) else shlex.split(text))
        ]
    except ValueError as error:
        raise ConfigError(f"data: {' '.join(texts)!r} is no list of paths: {error}") from error
    if not all(paths) or not all(texts) or not paths:
        raise ConfigError("data: an empty path is given")
    found: dict[str, str] = {}
    for path in paths:
        stem = NOT_IN_NAMES.sub("-", Path(path).name.split(".")[0]).strip("-") or "data"
        name, number = stem, 1
        while name in found:
            number += 1
            name = f"{stem}-{number}"
        found[name] = _absolute(path)
    return [{"name": name, "path": path} for name, path in found.items()]


def _signals_with(raw: Mapping[str, Any], field: str, value: str) -> list[dict[str, Any]]:
    """Signal blocks whose class has a field; those with an unknown `use:` are reported later.

    What a server calls its model is left as it is.
    """
    found = []
    for block in blocks(raw, "signals"):
        if "base_url" in block:
            continue
        try:
            has = field in lookup.find("signals", str(block.get("use"))).model_fields
        except ConfigError:
            has = field in block
        if has:
            found.append(block)
    if not found:
        raise ConfigError(f"{field} {value!r} is given, but no signal of the config has one")
    return found


def _parse_set(text: str) -> tuple[str, object]:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ConfigError(f"--set {text!r} must be key.path=value")
    try:
        return path, yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"--set {text!r}: the value is not YAML") from error


def _set(raw: dict[str, Any], path: str, value: object) -> None:
    """Put a value where a dotted path points, making keys that are not there yet."""
    at: Any = raw
    *parents, last = path.split(".")
    for part in parents:
        if isinstance(at, list):
            at = at[_place(at, part, path)]
        elif not isinstance(at, dict):
            raise ConfigError(f"--set {path}: the value {at!r} stands there, not keys")
        elif isinstance(at.get(part), dict | list):
            at = at[part]
        elif at.get(part) is None:
            at[part] = {}
            at = at[part]
        else:
            raise ConfigError(f"--set {path}: {part} holds the value {at[part]!r}, not keys")
    if isinstance(at, list):
        at[_place(at, last, path)] = value
    elif isinstance(at, dict):
        at[last] = value
    else:
        raise ConfigError(f"--set {path}: the value {at!r} stands there, not keys")


def _place(items: list[Any], part: str, path: str) -> int:
    if not part.isdecimal() or int(part) >= len(items):
        raise ConfigError(f"--set {path}: {part!r} is not a place in a list of {len(items)}")
    return int(part)
