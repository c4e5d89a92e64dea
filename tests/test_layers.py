"""Which folder may import what: the layers of the architecture, read from the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"kernels", "scorers", "stages", "pipeline", "errors", "__version__"}
MAY = {  # of ours
    "kernels": set(),
    "scorers": {"kernels", "errors"},
    "stages": {"kernels", "scorers", "errors"},
    "pipeline": OURS,
}
HEAVY = {  # of others, and where they may be imported
    "triton": ("kernels",),
    "transformers": ("stages",),
    "peft": ("stages",),
    "sentence_transformers": ("stages",),
    "faiss": ("stages",),
    "datasets": ("stages",),
    "ot": ("scorers",),
    "yaml": ("pipeline", "scorers/checks.py", "stages/filters", "stages/prompt.py"),
    "httpx2": ("stages/chat.py", "stages/asking.py"),
    "anyio": ("stages/asking.py",),
    "py3langid": ("stages/filters",),
    "ray": ("pipeline/executor.py", "pipeline/submit.py", "pipeline/training.py"),
    "torch": ("kernels", "stages", "pipeline/task.py"),
}
SLOW = {"torch", "transformers", "ray", "datasets", "faiss", "ot", "peft", "sentence_transformers"}
SLOW |= {"httpx2", "anyio"}
FILES = [path for folder in MAY for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(path):
    """Every import of a file: (top-level module, True if at import time)."""
    tree = ast.parse(path.read_text())
    inside = {
        node
        for scope in ast.walk(tree)
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.If)
        for node in ast.walk(scope)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name.split(".")[0], node not in inside
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = path.parent
                for _ in range(node.level - 1):
                    base = base.parent
                for name in node.names:
                    target = base.joinpath(*(node.module or name.name).split("."))
                    yield "." + str(target.relative_to(ROOT)).split("/")[0], node not in inside
            else:
                yield node.module.split(".")[0], node not in inside


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_layers(path):
    own = str(path.relative_to(ROOT))
    folder = own.split("/")[0]
    for module, _ in imports(path):
        assert module != "tamis", f"{own}: imports are relative"
        if module.startswith("."):
            target = module[1:]
            assert target in MAY[folder] | {folder, "."}, f"{own} imports {target}"
        elif module in HEAVY:
            assert any(own.startswith(place) for place in HEAVY[module]), f"{own} imports {module}"


def test_what_the_command_line_needs_imports_nothing_heavy():
    """Files that `tamis --help` and a config check import take heavy libraries only inside."""
    light = [
        "scorers",
        "pipeline",
        "stages/base.py",
        "stages/modelled.py",
        "stages/formats.py",
        "stages/readers.py",
        "stages/ingest.py",
        "stages/hub.py",
        "stages/templates.py",
        "stages/tokenize.py",
        "stages/columns.py",
        "stages/score.py",
        "stages/judge.py",
        "stages/reading.py",
        "stages/export.py",
        "stages/packing.py",
        "stages/prompt.py",
        "stages/replies.py",
        "stages/ratings.py",
        "stages/answers.py",
        "stages/asking.py",
        "stages/chat.py",
        "stages/warmup.py",
        "stages/signals",
        "stages/selectors",
        "stages/filters",
    ]
    for path in FILES:
        own = str(path.relative_to(ROOT))
        if any(own.startswith(place) for place in light):
            at_import = {module for module, early in imports(path) if early}
            assert not at_import & SLOW, own
