"""The house rules that a machine can check."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("kernels", "scorers", "stages", "pipeline")
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
SOURCES += [ROOT / name for name in ("__init__.py", "__main__.py", "errors.py")]
EVERYTHING = [*SOURCES, *sorted((ROOT / "configs").rglob("*.py"))]
BAD_NAMES = ("util", "helper", "common", "misc", "manager", "handler", "processor")


def ids(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", EVERYTHING, ids=ids)
def test_size_and_name(path):
    assert len(path.read_text().splitlines()) <= 300
    assert not any(bad in path.stem for bad in BAD_NAMES)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_every_public_thing_says_what_it_is(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef) and not getattr(node, "name", "").startswith(
            "_"
        ):
            for inner in node.body:
                is_named = isinstance(inner, ast.FunctionDef | ast.ClassDef)
                if is_named and not inner.name.startswith("_"):
                    assert ast.get_docstring(inner), inner.name


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_no_broad_except_without_a_reason(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip().startswith(("except:", "except Exception", "except BaseException")):
            assert "#" in line, f"line {number}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_four_folders_are_no_packages_of_their_own(folder):
    """A bare `kernels` package on sys.path would be imported by transformers."""
    assert not list((ROOT / folder).rglob("__init__.py"))


def test_every_module_has_its_test():
    missing = [
        ids(path)
        for path in SOURCES
        if path.parent != ROOT
        and not (ROOT / "tests" / path.parent.relative_to(ROOT) / f"test_{path.name}").exists()
    ]
    assert missing == []


def test_packages_are_the_folders():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = set(project["tool"]["setuptools"]["packages"])
    folders = {path.parent for path in SOURCES if path.parent != ROOT}
    folders |= {ROOT / "configs", *(p.parent for p in (ROOT / "configs").rglob("*.py"))}
    folders |= {p.parent for p in (ROOT / "configs").rglob("*.safetensors")}
    folders |= {p.parent for p in (ROOT / "stages").rglob("*.yaml")}
    expected = {"tamis", *("tamis." + ids(folder).replace("/", ".") for folder in folders)}
    assert listed == expected


def test_dependencies_are_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    for text in wanted:
        name = text.split(";")[0].split("[")[0].split(">")[0].strip().lower()
        assert name in pins, name
