import json
import os
import subprocess
import sys

import pytest
from tamis.pipeline import lookup, wheel
from tamis.pipeline.doctor.finding import Finding
from tamis.pipeline.doctor_command import line


def doctor(*words, folder, path="", code=0):
    done = subprocess.run(
        [sys.executable, "-m", "tamis", "doctor", "--no-ray", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow  # every library is imported
def test_a_broken_library_is_a_line_and_no_traceback(tmp_path):
    (tmp_path / "faiss").mkdir()
    (tmp_path / "faiss" / "__init__.py").write_text("raise ImportError('undefined symbol: x')")
    out = doctor(folder=tmp_path, path=tmp_path, code=1)
    broken = next(line for line in out.splitlines() if line.startswith("MAJOR"))
    assert broken.split()[1] == "faiss-cpu"
    assert broken.endswith("is broken: ImportError: undefined symbol: x")
    assert out.splitlines()[-1].endswith(" 1 MAJOR")


@pytest.mark.slow
def test_an_installed_wheel_is_examined_without_its_tests(tmp_path):
    built = wheel.build_wheel(lookup.ROOT, tmp_path)
    wheel.unpack(built, tmp_path / "site")
    out = doctor("--json", folder=tmp_path, path=tmp_path / "site")
    found = {finding["name"]: finding for finding in json.loads(out)}
    assert found["scorer influence"]["verdict"] == "OK"
    assert "tested: " in found["torch"]["said"]
    assert not (tmp_path / "site" / "tamis" / "tests").exists()


def test_lines():
    fine = line(Finding("python", "OK", "3.11\x1b[31m", "nothing")).plain
    assert fine.startswith("OK    python ")
    assert "\x1b" not in fine and "nothing" not in fine
    bad = line(Finding("memory", "MAJOR", "0.1 GB", "buy some")).plain
    assert bad.splitlines()[1].strip() == "buy some"
