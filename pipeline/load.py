"""A YAML file and what was said on the command line to a `Config`, or one clear error."""

import copy
import difflib
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ..errors import ConfigError
from ..stages.locations import Location, is_address, is_remote, locate
from ..stages.remote import is_file
from . import lookup
from .config import Config
from .files import read
from .overrides import Overrides, blocks

PACKAGED = lookup.ROOT / "configs"


def load(path: str, overrides: Overrides | None = None, allow_code: bool = False) -> Config:
    """Return the config of a file with overrides applied.

    Relative paths of data, models and code in the file are looked for beside the file, if that is
    on this machine, then in the current folder, then among what comes with Tamis; those of the
    command line in the current folder only.

    Args:
        path: a YAML file, also at an address, or the name of a config that comes with Tamis.
        overrides: from the command line.
        allow_code: whether files of the user's (`use: ./mine.py`) may be run.

    Raises:
        ConfigError: no such file, not YAML, or values that are not allowed, each in one line.
    """
    file = _find(path)
    raw = _read(file)
    return _checked(
        str(file), raw, Path() if is_remote(file) else file.parent, overrides, allow_code
    )


def load_mapping(
    raw: Mapping[str, Any], overrides: Overrides | None = None, allow_code: bool = False
) -> Config:
    """Return the config of keys and values with overrides applied.

    Relative paths are looked for in the current folder, then among what comes with Tamis.

    Args:
        raw: as a YAML file would hold them; left as they are.
        overrides: on top of them.
        allow_code: whether files of the user's (`use: ./mine.py`) may be run.

    Raises:
        ConfigError: values that are not allowed, each in one line.
    """
    return _checked("the config", copy.deepcopy(dict(raw)), Path(), overrides, allow_code)


def _checked(
    name: str, raw: dict[str, Any], folder: Path, overrides: Overrides | None, allow_code: bool
) -> Config:
    _anchor(raw, folder)
    (overrides or Overrides()).apply(raw)
    try:
        return Config.model_validate(raw, context={"allow_code": allow_code})
    except ValidationError as error:
        raise ConfigError(_explain(name, raw, error, allow_code)) from error


def _find(path: str) -> Location:
    for candidate in (locate(path), PACKAGED / path, PACKAGED / f"{path}.yaml"):
        if is_file(candidate):
            return candidate
    known = ", ".join(sorted(file.stem for file in PACKAGED.glob("*.yaml")))
    raise ConfigError(f"no config {path!r}; those that come with Tamis: {known}")


class _Loader(yaml.SafeLoader):
    """Safe YAML in which the second of two equal keys does not win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            problem = f"key {twice[0]!r} is given twice"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep)


def _read(file: Location) -> dict[str, Any]:
    try:
        raw = yaml.load(read(file).decode(), _Loader)
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        raise ConfigError(f"{file} is not readable YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{file} is not a config: its top level must be keys and values")
    return raw


def _anchor(raw: dict[str, Any], folder: Path) -> None:
    """Make the relative paths of a config's data, models and code absolute, where they exist."""
    for holder, key in places(raw):
        holder[key] = _anchored(holder[key], folder)


def places(raw: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield where a config as it was read may name a file or folder: a mapping or list, and a key.

    They are those of data, targets, models and code, not `store` and `out`.
    """
    fields: list[tuple[Any, Any]] = [(block, "path") for block in blocks(raw, "data", "targets")]
    chains = raw.get("sweep", {}).get("selectors") if isinstance(raw.get("sweep"), dict) else None
    named = chains if isinstance(chains, dict) else {}
    compared = [block for name in named for block in blocks(named, name)]
    for block in [*blocks(raw, "signals", "scorers", "filters", "selector"), *compared]:
        names = ("model", "other", "tokenizer", "patterns")
        fields += [(block, name) for name in names if _is_here(block)]
        if str(block.get("prompt")).endswith((".yaml", ".yml")):
            fields.append((block, "prompt"))
        if str(block.get("use")).endswith(".py"):
            fields.append((block, "use"))
        if isinstance(paths := block.get("adapters"), list):
            fields += [(paths, place) for place in range(len(paths))]
    for holder, key in fields:
        value = holder.get(key) if isinstance(holder, dict) else holder[key]
        if isinstance(value, str):
            yield holder, key


def _is_here(block: Mapping[str, Any]) -> bool:
    """Whether the models of a block are folders, and not names that a server knows."""
    return "base_url" not in block


def _anchored(path: str, folder: Path) -> str:
    for base in (folder, Path(), PACKAGED):
        if path and not is_address(path) and ((base / path).exists() or _matches(base, path)):
            return str((base / path).absolute())
    return path


def _matches(base: Path, pattern: str) -> bool:
    try:
        return not Path(pattern).is_absolute() and any(base.glob(pattern))
    except ValueError:  # no pattern of pathlib's, such as a**b
        return False


def _explain(name: str, raw: Mapping[str, Any], error: ValidationError, allow_code: bool) -> str:
    lines = [f"{name} is not valid:"]
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        said = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            said = _unknown_key(raw, problem["loc"], allow_code)
        elif problem["type"] != "value_error" and not isinstance(problem["input"], dict | list):
            said += f" (got {problem['input']!r})"
        lines.append(f"  {place}: {said}" if place else f"  {said}")
    return "\n".join(lines)


def _unknown_key(raw: Mapping[str, Any], place: tuple[int | str, ...], allow_code: bool) -> str:
    """What is allowed where an unknown key stands."""
    at: Any = raw
    model: type[BaseModel] | None = Config
    section = "selector" if place[:2] == ("sweep", "selectors") else str(place[0])
    for part in place[:-1]:
        if isinstance(at, list) or part in at:
            at = at[part]  # type: ignore[index] # a list's places are whole numbers
        if section in lookup.FOLDERS and isinstance(at, dict) and "use" in at:
            model = lookup.find(section, at["use"], allow_code)
        elif model is not None and part in model.model_fields:
            annotation = model.model_fields[str(part)].annotation
            options = [annotation, *getattr(annotation, "__args__", ())]
            models = (o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
            model = next(models, None)
    allowed = sorted(model.model_fields) if model else []
    near = difflib.get_close_matches(str(place[-1]), allowed, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown key; {hint}known are {', '.join(allowed)}"
