import subprocess
import sys

import pytest
from tamis import __version__
from tamis.errors import PlanError
from tamis.pipeline import lookup, wheel


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    before = {path.name for path in lookup.ROOT.iterdir()}
    found = wheel.build_wheel(lookup.ROOT, folder)
    assert {path.name for path in lookup.ROOT.iterdir()} == before  # no build/, no *.egg-info
    return found


def test_it_holds_the_packages_and_their_data_and_nothing_else(built, tmp_path):
    wheel.unpack(built, tmp_path)
    assert built.name == f"tamis-{__version__}-py3-none-any.whl"
    assert {path.name for path in tmp_path.iterdir()} == {"tamis", f"tamis-{__version__}.dist-info"}
    own = {path.relative_to(tmp_path / "tamis").as_posix() for path in tmp_path.rglob("*.py")}
    assert {"pipeline/submit.py", "scorers/ifd.py", "configs/quickstart/make_pool.py"} <= own
    assert (tmp_path / "tamis/configs/quickstart/model/model.safetensors").is_file()
    assert (tmp_path / "tamis/configs/ifd.yaml").is_file()
    assert (tmp_path / "tamis/stages/prompts/alpagasus.yaml").is_file()
    assert not (tmp_path / "tamis/tests").exists()
    assert not (tmp_path / "tamis/benchmarks").exists()


def test_what_is_unpacked_runs(built, tmp_path):
    wheel.unpack(built, tmp_path)
    command = [sys.executable, "-c", "import tamis.pipeline.cli as c; print(c.__file__)"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(tmp_path))


def test_without_build_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(wheel, "find_spec", lambda name: None)
    with pytest.raises(PlanError, match="`build` is missing: pip install build"):
        wheel.build_wheel(lookup.ROOT, tmp_path)


def test_a_checkout_that_cannot_be_built_is_said(tmp_path):
    for name in wheel.BESIDE:
        (tmp_path / name).write_text("")
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "nobody"\n'
        "[tool.setuptools]\npackages = []\n"
    )
    assert wheel.is_checkout(tmp_path)
    with pytest.raises(PlanError, match=f"no wheel could be built of {tmp_path}: .*nobody"):
        wheel.build_wheel(tmp_path, tmp_path / "out")
