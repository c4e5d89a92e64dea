"""Python and the libraries: against what Tamis supports, and what it was tested with."""

import importlib
import platform
from collections.abc import Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from .finding import Check, Finding

PINS = Path(__file__).resolve().parents[2] / "constraints.txt"
MODULES = {  # what is imported: the libraries with compiled code of their own
    "numpy": "numpy",
    "pyarrow": "pyarrow",
    "torch": "torch",
    "triton": "triton",
    "transformers": "transformers",
    "datasets": "datasets",
    "faiss-cpu": "faiss",
    "scikit-learn": "sklearn",
    "ray": "ray",
    "peft": "peft",
    "sentence-transformers": "sentence_transformers",
    "s3fs": "s3fs",
    "POT": "ot",
    "rapidfuzz": "rapidfuzz",
}
EXTRAS = {
    "peft": ("train", "gradient signals (LESS, TAGCOS)"),
    "sentence-transformers": ("embed", "the signal `embedding`"),
    "s3fs": ("s3", "data, stores and runs on s3://"),
    "POT": ("ot", "the scorer `got_d`"),
    "rapidfuzz": ("fuzzy", "the filter `fuzzy_contamination`"),
}


def library_checks() -> Iterator[Check]:
    """Yield a check of Python, and one for each library that Tamis names."""
    try:
        requirements = needed()
    except PackageNotFoundError:
        yield not_installed
        return
    yield python
    pins = pinned_versions(PINS.read_text("utf-8"))
    for requirement in requirements:
        yield partial(library, requirement, pins.get(canonicalize_name(requirement.name)))


def not_installed() -> Finding:
    """That nothing is known of ranges: Tamis runs from a folder, and is not installed."""
    said = "not installed here, so the versions that it supports are not known"
    return Finding("libraries", "MINOR", said, "pip install -c constraints.txt .")


def python() -> Finding:
    """Whether this Python is one that Tamis supports."""
    found, allowed = platform.python_version(), str(metadata("tamis")["Requires-Python"])
    if SpecifierSet(allowed).contains(found, prereleases=True):
        return Finding("python", "OK", f"{found} (supported: {allowed})")
    return Finding("python", "MAJOR", f"{found} (supported: {allowed})", "use another Python")


def needed() -> list[Requirement]:
    """Return what Tamis needs here, and what its extras do but for those of its developers."""
    found: dict[str, Requirement] = {}
    for text in requires("tamis") or []:
        requirement = Requirement(text)
        extras = ("", *(extra for extra, _ in EXTRAS.values()))
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            found.setdefault(canonicalize_name(requirement.name), requirement)
    return list(found.values())


def pinned_versions(pins: str) -> dict[str, str]:
    """Return the versions of a constraints file by canonical name."""
    pairs = (line.split("==") for line in pins.splitlines() if "==" in line)
    return {canonicalize_name(name): pinned.strip() for name, pinned in pairs}


def library(requirement: Requirement, pinned: str | None) -> Finding:
    """Whether a library is there, can be imported, and is of a version that Tamis supports.

    Args:
        requirement: its name and range.
        pinned: the version that Tamis was tested with.
    """
    name = requirement.name
    extra, what = EXTRAS.get(name, ("", ""))
    allowed = ",".join(sorted(map(str, requirement.specifier), reverse=True)) or "any"
    try:
        found = version(name)
    except PackageNotFoundError:
        if extra:
            said = f"not installed; only {what} needs it"
            return Finding(name, "OK", said, f"for that: pip install 'tamis[{extra}]'")
        advice = f"pip install '{name}{requirement.specifier}'"
        return Finding(name, "MAJOR", f"not installed (supported: {allowed})", advice)
    said = f"{found} (supported: {allowed}; tested: {pinned or 'any'})"
    if not requirement.specifier.contains(found, prereleases=True):
        return Finding(name, "MAJOR", said, f"pip install '{name}{requirement.specifier}'")
    if name in MODULES and (broken := _import(MODULES[name])):
        advice = f"install it again: pip install --force-reinstall --no-deps '{name}=={found}'"
        return Finding(name, "MINOR" if extra else "MAJOR", f"{found} is broken: {broken}", advice)
    if pinned and Version(found).release[:2] != Version(pinned).release[:2]:
        advice = f"nothing, or what was tested: pip install '{name}=={pinned}'"
        return Finding(name, "MINOR", said, advice)
    return Finding(name, "OK", said)


def _import(module: str) -> str:
    """Why a module cannot be imported; empty if it can."""
    try:
        importlib.import_module(module)
    except (ImportError, OSError) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        return f"{type(error).__name__}: {first}"
    return ""
