"""Python environments with other versions of libraries, built once and kept in pytest's cache."""

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path


def environment(folder: Path, name: str, packages: Sequence[str], alone: Sequence[str] = ()) -> str:
    """Return the Python of an environment.

    Args:
        folder: where environments are kept.
        name: of this one.
        packages: to install, with what they need.
        alone: to install without what they need; that is looked for in this environment.
    """
    home = folder / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    python, ready = home / "bin" / "python", home / "ready"
    wanted = "\n".join([*packages, "alone:", *alone])
    if ready.exists() and ready.read_text() == wanted:
        return str(python)
    shutil.rmtree(home, ignore_errors=True)
    run(sys.executable, "-m", "venv", str(home))
    run(str(python), "-m", "pip", "install", "--quiet", *packages)
    if alone:
        run(str(python), "-m", "pip", "install", "--quiet", "--no-deps", *alone)
        inside = run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
        beside = Path(inside.strip()) / "beside.pth"  # after its own packages
        beside.write_text(sysconfig.get_path("purelib") + "\n")
    ready.write_text(wanted)
    return str(python)


def run(*command: str, cwd: Path | None = None) -> str:
    """Return what a command prints; its errors are the test's."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, (
        f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    )
    return done.stdout
