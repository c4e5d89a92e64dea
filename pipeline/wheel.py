"""The wheel of a checkout: what is sent to a cluster in place of the checkout."""

import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from ..errors import PlanError

BESIDE = ("pyproject.toml", "README.md", "LICENSE", "py.typed")
SETUPTOOLS = 77  # from here on it can build Tamis; without it `build` fetches one


def is_checkout(root: Path) -> bool:
    """Return whether a package folder is a checkout, and no installation."""
    return (root / "pyproject.toml").is_file()


def build_wheel(root: Path, folder: Path) -> Path:
    """Build the wheel of a checkout from a copy of its packages; the checkout stays as it is.

    Args:
        root: the checkout.
        folder: where the wheel goes.

    Raises:
        PlanError: `build` is missing, or it fails.
    """
    if find_spec("build") is None:
        raise PlanError("a checkout is sent as a wheel, and `build` is missing: pip install build")
    with tempfile.TemporaryDirectory(prefix="tamis-wheel-") as place:
        copy = Path(place) / "tamis"
        _copy_packages(root, copy)
        command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(copy)]
        if _setuptools() >= SETUPTOOLS:
            command.insert(3, "--no-isolation")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise PlanError(f"no wheel could be built of {root}: {' '.join(last)}")
    return next(folder.glob("*.whl"))


def unpack(wheel: Path, folder: Path) -> None:
    """Unpack a wheel, as an installer without dependencies would."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)


def _copy_packages(root: Path, copy: Path) -> None:
    """Copy what belongs to the wheel: neither tests nor runs, stores and data beside them."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    copy.mkdir()
    for package in project["tool"]["setuptools"]["packages"]:
        inside = package.replace(".", "/").partition("/")[2]
        (copy / inside).mkdir(parents=True, exist_ok=True)
        kinds = ["*.py", *project["tool"]["setuptools"]["package-data"].get(package, ())]
        for file in (file for kind in kinds for file in (root / inside).glob(kind)):
            shutil.copyfile(file, copy / inside / file.name)
    for name in BESIDE:
        shutil.copyfile(root / name, copy / name)


def _setuptools() -> int:
    try:
        return int(version("setuptools").partition(".")[0])
    except PackageNotFoundError:
        return 0
