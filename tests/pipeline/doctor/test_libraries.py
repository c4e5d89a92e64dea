import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tamis.pipeline.doctor import libraries
from tamis.pipeline.doctor.libraries import (
    PINS,
    library,
    library_checks,
    needed,
    pinned_versions,
    python,
)


@pytest.mark.slow  # every library is imported
def test_everything_here_is_fine():
    found = [check() for check in library_checks()]
    assert {finding.name for finding in found} >= {"python", "torch", "ray", "peft", "pyyaml"}
    assert [f for f in found if f.verdict == "MAJOR"] == []
    assert not {"pytest", "ruff", "moto"} & {f.name for f in found}


def test_every_pin_that_is_needed_is_known():
    pins = pinned_versions(PINS.read_text())
    assert {canonicalize_name(requirement.name) for requirement in needed()} <= set(pins)


def test_versions_of_a_constraints_file():
    assert pinned_versions("# all\nPyYAML==6.0.3\nfaiss_cpu==1.2\n") == {
        "pyyaml": "6.0.3",
        "faiss-cpu": "1.2",
    }


@pytest.mark.parametrize(
    ("requirement", "pinned", "verdict", "said", "advice"),
    [
        ("numpy>=2.0", None, "OK", "(supported: >=2.0; tested: any)", ""),
        ("numpy>=99", None, "MAJOR", "(supported: >=99; tested: any)", "install 'numpy>=99'"),
        ("numpy>=2.0", "1.0", "MINOR", "tested: 1.0", "pip install 'numpy==1.0'"),
        ("no-such-thing>1", None, "MAJOR", "not installed (supported: >1)", "'no-such-thing>1'"),
    ],
)
def test_ranges(requirement, pinned, verdict, said, advice):
    found = library(Requirement(requirement), pinned)
    assert found.verdict == verdict
    assert said in found.said
    assert advice in found.advice


def test_an_extra_may_be_missing(monkeypatch):
    monkeypatch.setitem(libraries.EXTRAS, "no-such-thing", ("train", "LESS"))
    found = library(Requirement("no-such-thing>1"), None)
    assert found.verdict == "OK"
    assert found.said == "not installed; only LESS needs it"
    assert "pip install 'tamis[train]'" in found.advice


@pytest.mark.parametrize("error", ["OSError('libcuda.so.1: no such file')", "ImportError('no')"])
def test_a_library_that_cannot_be_imported_is_a_line(tmp_path, monkeypatch, error):
    (tmp_path / "broken_thing.py").write_text(f"raise {error}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(libraries.MODULES, "numpy", "broken_thing")
    found = library(Requirement("numpy>=2"), None)
    assert found.verdict == "MAJOR"
    assert f"is broken: {error.split('(')[0]}" in found.said
    monkeypatch.setitem(libraries.EXTRAS, "numpy", ("s3", "nobody"))
    assert library(Requirement("numpy>=2"), None).verdict == "MINOR"


def test_without_an_installation(monkeypatch):
    def missing(name):
        raise libraries.PackageNotFoundError(name)

    monkeypatch.setattr(libraries, "requires", missing)
    (check,) = library_checks()
    assert check().verdict == "MINOR"
    assert "not installed here" in check().said


def test_an_old_python(monkeypatch):
    assert python().verdict == "OK"
    monkeypatch.setattr(libraries.platform, "python_version", lambda: "3.9.1")
    found = python()
    assert (found.verdict, found.said) == ("MAJOR", "3.9.1 (supported: >=3.11)")
