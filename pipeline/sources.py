"""The entries of `data` and `targets`: what they name, and the content of their files."""

import xxhash

from ..errors import ConfigError, DataError, RemoteError
from ..stages.hub import resolve_dataset
from ..stages.locations import Location, is_address, is_remote, locate, same_or_below
from ..stages.readers import find_files, is_dataset_folder, kind_of
from ..stages.remote import files_below, is_dir, is_file, open_bytes
from ..stages.source import Source
from .config import Config


def pin_sources(config: Config) -> Config:
    """Return the config with the exact commit of every dataset that comes from the hub.

    Raises:
        DataError: a path that is neither there nor on the hub.
    """
    pinned = []
    for source in config.data:
        given = any(c in source.path for c in "*?[") or _exists(source)
        if given:
            _check_files(source, config)
        if not given:
            if is_address(source.path) or source.path.startswith(("/", ".")):
                raise DataError(f"{source.place}: no file or folder {source.path!r}")
            found = resolve_dataset(source.path, source.revision)
            known = {"revision": found.commit, "license": source.license or found.license}
            source = source.model_copy(update=known)
        pinned.append(source)
    return config.model_copy(update={"data": pinned})


def _exists(source: Source) -> bool:
    """Whether a source is a file or folder, here or at an address.

    Raises:
        DataError: the address does not answer.
    """
    try:
        path = locate(source.path)
        return is_file(path) or is_dir(path) if is_remote(path) else path.exists()
    except (RemoteError, ConfigError) as error:
        raise DataError(f"{source.place}: {error}") from error


def _check_files(source: Source, config: Config) -> None:
    """Raise where a source of files has what only datasets have, or holds what runs leave.

    Raises:
        DataError: so.
    """
    path = locate(source.path)
    kind = "an address" if is_remote(path) else "a local path"
    only = {"revision": "datasets of the hub", "subset": "datasets of the hub"}
    if not is_dataset_folder(path):
        only["split"] = "datasets of the hub and `datasets` folders"
    for field, which in only.items():
        if (value := getattr(source, field)) is not None:
            raise DataError(
                f"{source.place}.{field} is {value!r}, but {source.path!r} is {kind}; "
                f"only {which} have one"
            )
    for field in ("store", "out"):
        place = locate(getattr(config, field))
        if same_or_below(place, path) and is_dir(path):
            raise DataError(
                f"{source.place}: the folder {source.path!r} holds the {field} {str(place)!r}, "
                f"which would become input as well; give the data a folder of its own"
            )


def input_files(source: Source) -> list[Location]:
    """Return the files of a source; none for a dataset of the hub."""
    if source.revision is not None:
        return []
    path = locate(source.path)
    if is_dataset_folder(path):
        return files_below(path)
    return find_files(path)


def content_of(files: list[Location]) -> list[str]:
    """Return for each file how it is read, and a hash of its bytes, which are read once for it.

    Raises:
        RemoteError: an address does not answer.
    """
    digests = []
    for path in files:
        checksum = xxhash.xxh3_128()
        with open_bytes(path) as stream:
            while block := stream.read(1 << 22):
                checksum.update(block)
        digests.append(f"{kind_of(path)}:{checksum.hexdigest()}")
    return digests
