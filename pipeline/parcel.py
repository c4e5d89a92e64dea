"""A config made ready for another machine, and the folder that a job is sent with.

::

    config.yaml     resolved; nothing of it points into this checkout or installation
    code/0/mine.py  files of the user's, where --allow-code is given
    job.py          starts it
    tamis/          the unpacked wheel of a checkout (with --install: the wheel itself)
"""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .. import __version__
from ..errors import ConfigError
from . import lookup
from .config import Config
from .load import PACKAGED, places
from .wheel import build_wheel, is_checkout, unpack

WORKING_DIR = "${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}"  # Ray puts in where it unpacked the folder


@dataclass(frozen=True)
class Parcel:
    """A config as another machine can read it.

    Attributes:
        values: of the config.
        inputs: files and folders of this machine that it names; every machine must see them.
        outputs: `store` and `out`, where they are no addresses.
        code: files of the user's, prompts among them, by their path beside the config.
    """

    values: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    code: Mapping[str, Path]

    def to_yaml(self) -> str:
        """Return the config as YAML."""
        return yaml.safe_dump(dict(self.values), sort_keys=False, allow_unicode=True)


def make_parcel(config: Config, base: Path, with_code: bool = True) -> Parcel:
    """Return a config for another machine.

    What comes with Tamis is named as it is there. The address of a cluster is left out: a job runs
    on the one that it was sent to.

    Args:
        config: as it was read here.
        base: folder that a relative `store` or `out` is meant from.
        with_code: files of the user's are sent along; else they stay where they are.

    Raises:
        ConfigError: workers have GPUs, but a signal leaves its dtype open.
    """
    values = config.model_dump(mode="json")
    values["engine"]["address"] = None
    _to_gpus(values)
    inputs, code = [], dict[str, Path]()
    for holder, key in places(values):
        path = Path(holder[key])
        if path.is_relative_to(PACKAGED):
            holder[key] = path.relative_to(PACKAGED).as_posix()
        elif key == "prompt" or (key == "use" and with_code):
            holder[key] = f"code/{len(code)}/{path.name}"
            code[holder[key]] = path
        elif "://" not in holder[key] and path.expanduser().is_absolute():
            inputs.append(holder[key])
    for key in ("store", "out"):
        if "://" not in values[key]:
            values[key] = str(base / values[key])
    outputs = [values[key] for key in ("store", "out") if "://" not in values[key]]
    return Parcel(values, tuple(dict.fromkeys(inputs)), tuple(outputs), code)


def _to_gpus(values: Mapping[str, Any]) -> None:
    """Settle what `auto` means, which else the machine of the run's own process would say."""
    if not values["engine"]["gpus_per_worker"]:
        return
    for name, block in values["signals"].items():
        if block.get("device") == "auto":
            block["device"] = "cuda"
        if block.get("device") == "cuda" and block.get("dtype") == "auto":
            raise ConfigError(
                f"signals.{name}.dtype: auto says nothing where the workers have GPUs and the "
                "head of the cluster may have none; give --dtype bf16, fp16 or fp32"
            )


def pack(parcel: Parcel, folder: Path, install: bool) -> dict[str, Any]:
    """Fill a folder with what a job needs; return the runtime environment that Ray sends it by.

    Args:
        parcel: the config.
        folder: empty.
        install: let the cluster's machines install Tamis and what it depends on.

    Raises:
        PlanError: no wheel could be built of the checkout.
    """
    (folder / "config.yaml").write_text(parcel.to_yaml(), "utf-8")
    shutil.copyfile(lookup.ROOT / "pipeline" / "job.py", folder / "job.py")
    for name, path in parcel.code.items():
        (folder / name).parent.mkdir(parents=True)
        shutil.copyfile(path, folder / name)
    wanted = f"tamis=={__version__}"
    if is_checkout(lookup.ROOT):
        with tempfile.TemporaryDirectory(prefix="tamis-wheel-") as place:
            wheel = build_wheel(lookup.ROOT, Path(place))
            if install:
                shutil.copyfile(wheel, folder / wheel.name)
                wanted = f"{WORKING_DIR}/{wheel.name}"
            else:
                unpack(wheel, folder)
    return {"working_dir": str(folder)} | ({"pip": [wanted]} if install else {})
