"""Datasets of the hub, and folders that `datasets.save_to_disk` wrote, to records."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import DataError
from .locations import Location
from .readers import BATCH_ROWS, read_tables
from .records import Record
from .source import LICENSE

if TYPE_CHECKING:  # heavy
    from datasets import Dataset as Dataset  # for the types of others
    from datasets import DatasetDict
    from huggingface_hub import DatasetCardData

DEFAULT_SPLIT = "train"


def open_dataset_folder(path: Location) -> "Dataset | DatasetDict":
    """Return a folder written by `datasets.save_to_disk`, or one like it.

    Raises:
        DataError: not readable.
    """
    from datasets import load_from_disk  # heavy

    try:
        return load_from_disk(str(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a readable `datasets` folder: {error}") from error


def read_dataset_folder(path: Location, split: str | None) -> Iterator[Record]:
    """Return the rows of a folder written by `datasets.save_to_disk`.

    Raises:
        DataError: not readable, or no such split.
    """
    from datasets import DatasetDict  # heavy

    dataset = open_dataset_folder(path)
    if isinstance(dataset, DatasetDict):
        wanted = split or DEFAULT_SPLIT
        if wanted not in dataset:
            raise DataError(f"{path}: no split {wanted!r}; it has {', '.join(dataset)}")
        dataset = dataset[wanted]
    elif split is not None:
        raise DataError(f"{path}: a dataset without splits; leave out split {split!r}")
    return _records(dataset)


def read_hub(path: str, subset: str | None, split: str | None, revision: str) -> Iterator[Record]:
    """Return the rows of a dataset of the hub at an exact commit.

    Raises:
        DataError: it cannot be had, or no such subset or split.
    """
    from datasets import load_dataset  # heavy

    try:
        dataset = load_dataset(path, subset, split=split or DEFAULT_SPLIT, revision=revision)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"dataset {path!r} of the hub cannot be read: {error}") from error
    return _records(dataset)


@dataclass(frozen=True)
class HubDataset:
    """A dataset of the hub at a commit.

    Attributes:
        commit: which.
        license: what its card says, or None.
    """

    commit: str
    license: str | None


def resolve_dataset(path: str, revision: str | None) -> HubDataset:
    """Return the commit of a dataset of the hub, and its licence.

    Raises:
        DataError: no such file or folder, and the hub has no such dataset or cannot be reached.
    """
    from huggingface_hub import HfApi, errors  # needs the network

    lost = errors.HTTPError  # type: ignore[attr-defined] # what its client raises: httpx, or later
    try:
        info = HfApi().dataset_info(path, revision=revision)
    except (lost, errors.HFValidationError, errors.OfflineModeIsEnabled, OSError) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        at = f" at revision {revision!r}" if revision else ""
        raise DataError(
            f"{path!r}{at} is neither a file or folder nor a dataset to be had from the hub: {why}"
        ) from error
    return HubDataset(str(info.sha), license_of(info.card_data))


def license_of(card: "DatasetCardData | None") -> str | None:
    """Return the licences that a card names, or None; what is no identifier is `other`."""
    said = None if card is None else card.license
    names = [said] if isinstance(said, str) else list(said or ())
    known = [name if re.fullmatch(LICENSE, name) else "other" for name in names]
    return ", ".join(dict.fromkeys(known)) or None


def _records(dataset: "Dataset") -> Iterator[Record]:
    arrow = dataset.with_format("arrow")
    return read_tables(arrow.iter(batch_size=BATCH_ROWS))
