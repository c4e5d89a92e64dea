"""A full disk: a clear word, nothing lost, and the next start goes on."""

import os
import resource
import subprocess
import sys

import pytest
from tamis.pipeline.run import select
from tamis.tests.runs import digest, quiet, run_config


def start(config, folder, **fields):
    (folder / "c.yaml").write_text(config.to_yaml())
    words = [sys.executable, "-m", "tamis", "select", "c.yaml"]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, **fields)


def wide_config(folder, store, engine="local"):
    """Columns of several sizes, so that some fit where others do not."""
    engine = {"kind": engine, "workers": 1 if engine == "ray" else None}
    return run_config(folder, 400, part_rows=100, store=str(store), engine=engine)


@pytest.fixture
def expected(tmp_path):
    folder = tmp_path / "expected"
    folder.mkdir()
    return digest(select(wide_config(folder, folder / "store"), quiet()).folder.path)


def goes_on(config, expected):
    again = select(config, quiet())
    assert digest(again.folder.path) == expected
    return again


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_a_disk_that_is_full(tmp_path, expected, engine):
    """A file system in memory that has room for most of the store, and no more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    files = [path for path in (tmp_path / "expected" / "store").rglob("*") if path.is_file()]
    pages = sum(-(-path.stat().st_size // 4096) for path in files)
    size = f"size={4 * int(0.7 * pages)}k"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        config = wide_config(tmp_path, disk / "store", engine)
        done = start(config, tmp_path)
        assert done.returncode == 1, done.stderr
        assert "No space left on device" in done.stderr
        assert "what is computed is kept" in done.stderr
        assert "Traceback" not in done.stderr
        kept = sorted(path for path in (disk / "store").rglob("*.parquet"))
        assert kept
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        times = {path: path.stat().st_mtime_ns for path in kept}
        goes_on(config, expected)
        assert {path: path.stat().st_mtime_ns for path in kept} == times
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_file_that_may_not_grow(tmp_path, expected):
    """A limit on the size of files, as a quota sets it."""
    config = wide_config(tmp_path, tmp_path / "store")
    most = 8_000

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    done = start(
        config, tmp_path, preexec_fn=limit, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    )
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stderr
    assert "what is computed is kept" in done.stderr
    assert "Traceback" not in done.stderr
    goes_on(config, expected)
