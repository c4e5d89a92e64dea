from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tamis.kernels import goldens
from tamis.kernels.goldens import GOLDENS, WITHOUT

FOLDER = Path(goldens.__file__).parent


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.kernel)
def test_the_numbers(golden):
    assert golden.off("cpu", "torch") <= golden.tolerance
    assert golden.source


@pytest.mark.gpu
@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.kernel)
def test_the_numbers_on_a_gpu(golden):
    for backend in ("torch", "triton"):
        assert golden.off("cuda", backend) <= golden.tolerance


def test_every_kernel_has_some_or_says_why_not():
    files = {path.stem for path in FOLDER.glob("*.py")} - {"goldens"}
    operators = {name for name in files if not name.endswith(("_triton", "_kernels"))}
    assert {golden.kernel for golden in GOLDENS} | set(WITHOUT) == operators
    assert not {golden.kernel for golden in GOLDENS} & set(WITHOUT)


def test_other_numbers_are_off():
    golden = GOLDENS[0]
    wrong = replace(golden, expected=(golden.expected[0] + 0.25, *golden.expected[1:]))
    assert wrong.off("cpu", "torch") == pytest.approx(0.25, abs=1e-6)
    assert replace(golden, expected=(1.0,)).off("cpu", "torch") == float("inf")
    broken = replace(golden, run=lambda device, backend: torch.full((10,), float("nan")))
    assert not broken.off("cpu", "torch") <= golden.tolerance
