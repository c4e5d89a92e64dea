"""The notebook in docs/ runs from top to bottom."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "first-steps.ipynb"
EXECUTE = """
import sys
import nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
(source,) = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip="kernel")
NotebookClient(notebook, km=kernel, timeout=300).execute()
nbformat.write(notebook, "done.ipynb")
"""


def output(cell):
    """What a cell shows, as text."""
    (shown,) = (out for out in cell.outputs if out.output_type == "execute_result")
    return shown.data["text/plain"]


@pytest.mark.slow
def test_it_runs_and_shows_what_it_says(tmp_path):
    environ = os.environ | {"IPYTHONDIR": str(tmp_path / "ipython")}
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, str(NOTEBOOK)],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    cells = nbformat.read(tmp_path / "done.ipynb", as_version=4).cells
    shown = {cell.source.splitlines()[-1]: cell for cell in cells if cell.cell_type == "code"}
    assert "600 rows in, 60 kept" in shown["run"].outputs[-1].data["text/html"]
    assert "num_rows: 60" in output(shown["curated"])
    (line,) = (cell for last, cell in shown.items() if last.startswith("{name: line[name]"))
    assert "over budget" in output(line)
    kinds = [kind for out in cells[-1].outputs for kind in out.get("data", {})]
    assert "image/png" in kinds
    said = [out["text"] for cell in cells for out in cell.get("outputs", ()) if "text" in out]
    assert [text for text in said if "IProgress not found" not in text] == []  # tqdm wants widgets
    assert (tmp_path / "first-steps" / "runs" / "quickstart" / "curated" / "README.md").exists()


def test_it_is_kept_without_outputs():
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
