"""The Triton noise against torch's, bit for bit; interpreted where there is no GPU."""

import pytest
import torch
from tamis.kernels.backend import interpreting
from tamis.kernels.noise import uniform

pytest.importorskip("triton")
from tamis.kernels.noise_triton import uniform_triton

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and not interpreting(), reason="neither a GPU nor the interpreter"
)


def arguments(n):
    keys = torch.arange(n) * 0x1234567890ABCDE - 2**62
    return keys, torch.arange(n) * 7, torch.arange(n) * 3 - 2


@pytest.mark.parametrize(("n", "length", "dim"), [(1, 1, 1), (3, 9, 30), (2, 5, 256), (2, 4, 300)])
def test_bits_are_those_of_torch(n, length, dim):
    keys, copies, first = arguments(n)
    found = uniform_triton(keys.to(DEVICE), copies.to(DEVICE), first.to(DEVICE), length, dim)
    assert torch.equal(found.cpu(), uniform(keys, copies, first, length, dim))


def test_chosen_by_backend():
    on_device = [tensor.to(DEVICE) for tensor in arguments(2)]
    assert torch.equal(uniform(*on_device, 3, 8, "triton"), uniform(*on_device, 3, 8))


def test_nothing():
    on_device = [tensor.to(DEVICE) for tensor in arguments(2)]
    assert uniform_triton(*on_device, 0, 8).shape == (2, 0, 8)


def test_errors(monkeypatch):
    with pytest.raises(ValueError, match="got 3 and 0"):
        uniform_triton(*arguments(2), 3, 0)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match="TRITON_INTERPRET"):
        uniform_triton(*arguments(2), 3, 4)
