"""Where files are: in a folder of this machine, or at an address such as `s3://bucket/folder`.

What is local is a `pathlib.Path`. An address is a `UPath`, which has the same operations over any
file system of fsspec; what goes over the network with it goes through `remote.steadily`.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import ConfigError

if TYPE_CHECKING:
    from typing_extensions import TypeIs
    from upath import UPath

Location: TypeAlias = "Path | UPath"

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*(::[a-z][a-z0-9+.-]*)*://", re.IGNORECASE)
HERE = re.compile(r"(file|local)://")
PASSWORD = re.compile(r"(?<=://)[^/\s@:]*:[^/\s@]*(?=@)")
QUERY = re.compile(r"\?[^/\s]*=\S*")
EXTRAS = {"s3fs": "tamis[s3]"}
FRESH: dict[str, Any] = {"use_listings_cache": False}  # other processes write there too
RETRIES = {"total_max_attempts": 1, "mode": "legacy"}  # botocore adds a mode to it where none is
ONCE = {"connect_timeout": 5, "read_timeout": 20, "retries": RETRIES}
OPTIONS = {
    **dict.fromkeys(("s3", "s3a"), FRESH | {"config_kwargs": ONCE}),  # `steadily` tries again
    **dict.fromkeys(("gs", "gcs", "az", "abfs", "abfss"), FRESH),
}


def is_address(text: str) -> bool:
    """Return whether a text names files at an address, and not on this machine."""
    return ADDRESS.match(text) is not None and HERE.match(text) is None


def is_remote(location: Location) -> "TypeIs[UPath]":
    """Return whether files are at an address, and not on this machine."""
    return not isinstance(location, Path)


def locate(text: str) -> Location:
    """Return the path that a text names, here or at an address.

    Raises:
        ConfigError: no such kind of address, or its package is not installed.
    """
    if not is_address(text):
        return Path(HERE.sub("", text))
    from fsspec.core import split_protocol  # these two only where there are addresses
    from fsspec.registry import get_filesystem_class, known_implementations
    from upath import UPath

    protocol = str(split_protocol(text.rpartition("::")[2])[0])
    try:
        get_filesystem_class(protocol)
    except ImportError as error:
        package = known_implementations[protocol]["class"].partition(".")[0]
        raise ConfigError(
            f"{redacted(text)!r}: {protocol}:// needs the package {package}, which cannot be "
            f"imported; pip install '{EXTRAS.get(package, package)}'"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"{redacted(text)!r}: {protocol}:// is no kind of address; there are s3://, gs://, "
            f"hf:// and the others of fsspec"
        ) from error
    options = {} if "::" in text else _with_own(protocol, OPTIONS.get(protocol, {}))
    path: UPath = UPath(text.rstrip("/"), **options)
    if "config_kwargs" in options:
        path.fs.retries = 1  # s3fs would try again without a word
    return path


def _with_own(protocol: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options with those that the user's fsspec configuration has for the protocol on top."""
    from fsspec.config import conf

    own = dict(conf.get(protocol, {}))
    inner = {n: v | own[n] for n, v in options.items() if isinstance(v, dict) and n in own}
    return {name: value for name, value in options.items() if name not in own} | inner


def without_secrets(text: str) -> str:
    """Return an address as it is.

    Raises:
        ValueError: it holds a password or a signed query, which must not reach files and logs.
    """
    if is_address(text) and redacted(text) != text:
        raise ValueError(
            "an address must hold no password, token or query: config.yaml and manifest.json keep "
            "it; give credentials as the file system expects them, for example in AWS_* variables"
        )
    return text


def redacted(text: object) -> str:
    """Return a text without the passwords and queries of the addresses in it."""
    return QUERY.sub("?***", PASSWORD.sub("***", str(text)))


def same_or_below(inner: Location, folder: Location) -> bool:
    """Return whether a path is a folder or lies in it."""
    if not is_remote(inner) and not is_remote(folder):
        return inner.resolve().is_relative_to(folder.resolve())
    return f"{inner}/".startswith(f"{folder}/")
