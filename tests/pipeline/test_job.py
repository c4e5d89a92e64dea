"""The file that a job starts with runs alone, so it is run as it will be: in another process."""

import os
import shutil
import subprocess
import sys

import pytest
from tamis import __version__
from tamis.pipeline import job, lookup

CLI = "import sys\ndef main():\n    print(sys.argv)\n    sys.exit(1)\n"


@pytest.fixture
def folder(tmp_path):
    shutil.copyfile(lookup.ROOT / "pipeline/job.py", tmp_path / "job.py")
    return tmp_path


def started(folder, *words):
    own = os.environ | {"PYTHONPATH": ""}
    command = [sys.executable, "-S", "job.py", *words]  # without what is installed here
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False)


def pretend(folder, version, cli=CLI):
    (folder / "tamis/pipeline").mkdir(parents=True)
    (folder / "tamis/__init__.py").write_text(f"__version__ = '{version}'")
    (folder / "tamis/pipeline/cli.py").write_text(cli)


def test_it_is_the_command_line_with_its_exit_code(folder):
    pretend(folder, __version__)
    done = started(folder, __version__, "select", "config.yaml")
    assert done.returncode == 1
    assert done.stdout == "['tamis', 'select', 'config.yaml']\n"


def test_a_cluster_without_tamis_or_with_another_is_told(folder):
    done = started(folder, "1.2.3", "select", "config.yaml")
    assert done.returncode == 2
    assert done.stderr == (
        "error: Tamis 1.2.3 has submitted this, and on the cluster it is missing; install 1.2.3 "
        "there, or add --install\n"
    )
    pretend(folder, "1.2.2")
    done = started(folder, "1.2.3", "select", "config.yaml")
    assert done.returncode == 2
    assert "on the cluster it is 1.2.2; install 1.2.3 there" in done.stderr


def test_a_cluster_without_what_tamis_needs_is_told(folder):
    pretend(folder, "1", "import pyarrow\n")
    done = started(folder, "1", "select", "config.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("error: Tamis needs pyarrow, and the cluster has none")


def test_here_it_is_this_tamis(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["job.py", __version__, "--version"])
    with pytest.raises(SystemExit) as end:
        job.main()
    assert not end.value.code
    assert capsys.readouterr().out == f"tamis {__version__}\n"
