"""`use:` to a class. The folder is the registry: `use: ifd` under `scorers` is `scorers/ifd.py`.

A file defines exactly one class of its contract. `use: ./mine.py` is the user's own file, run only
when code is allowed explicitly; its SHA-256 stands for the class's version.
"""

import difflib
import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from ..errors import ConfigError, ContractError, UnknownName
from ..scorers.base import Params, Scorer
from ..stages.base import Stage
from ..stages.filters.base import Filter
from ..stages.selectors.base import Selector

ROOT = Path(__file__).resolve().parent.parent
FOLDERS: dict[str, tuple[str, type[Params]]] = {
    "signals": ("stages.signals", Stage),
    "scorers": ("scorers", Scorer),
    "filters": ("stages.filters", Filter),
    "selector": ("stages.selectors", Selector),
}
PLUGIN = "\n@final\nclass "  # what is not final is a contract or shared by several
USER_MODULES: list[ModuleType] = []


def names(section: str) -> list[str]:
    """Return what `use:` may name in a section of the config."""
    folder = ROOT / FOLDERS[section][0].replace(".", "/")
    return sorted(path.stem for path in folder.glob("*.py") if PLUGIN in path.read_text())


def find(section: str, use: str, allow_code: bool = False) -> type[Params]:
    """Return the class that a `use:` names.

    Args:
        section: signals, scorers, filters or selector.
        use: the name of a file in the section's folder, or the path of a file of the user's.
        allow_code: whether the user's files may be run.

    Raises:
        UnknownName: no such file; the message lists what there is.
        ConfigError: a user's file without `allow_code`, or one that cannot be run.
        ContractError: a file with no class, or more than one, of the section's contract.
    """
    folder, contract = FOLDERS[section]
    if use.endswith(".py"):
        module = _user_module(use, allow_code)
    elif use in (allowed := names(section)):
        module = importlib.import_module(f"..{folder}.{use}", __package__)
    else:
        near = difflib.get_close_matches(use, allowed, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownName(
            f"{use!r} is not among {', '.join(allowed)}; {hint}for a file of your own give its path"
        )
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, contract)
        and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise ContractError(f"{use} must define one {contract.__name__}, it has {len(found)}")
    return found[0]


def version_of(kind: type[Params]) -> int | str:
    """Return a class's version; for a user's file the hash of the file."""
    return getattr(sys.modules[kind.__module__], "__tamis_sha256__", kind.version)


def _user_module(use: str, allow_code: bool) -> ModuleType:
    path = Path(use)
    if not path.is_file():
        raise UnknownName(f"no file {use!r}")
    if not allow_code:
        raise ConfigError(f"{use!r} is code; to run it, add --allow-code (allow_code=True)")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    name = f"tamis_user_{digest[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{use!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's file raises when it is run
        del sys.modules[name]
        raise ConfigError(f"{use!r} cannot be run: {type(error).__name__}: {error}") from error
    vars(module)["__tamis_sha256__"] = digest
    USER_MODULES.append(module)
    return module
