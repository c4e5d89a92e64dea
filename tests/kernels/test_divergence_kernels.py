"""What the divergence kernel holds besides its loops; `test_divergence_triton` runs it whole."""

import math

import pytest
import torch
from tamis.kernels.divergence import CLOSE

pytest.importorskip("triton")
from tamis.kernels import divergence_kernels as module


def test_the_polynomial_of_the_kernel():
    """Terms away from p = q, in fp64: the polynomial's own error."""
    w = torch.linspace(0, math.exp(-CLOSE), 10_000, dtype=torch.float64)[1:]
    powers = [getattr(module, f"C{power}").value for power in range(8)]
    polynomial = sum(c * w**power for power, c in enumerate(powers))
    exact = (1 + w) * torch.log(2 / (1 + w)) / 2
    term = exact + w * w.log() / 2
    assert ((polynomial - exact).abs() / term).max() < 6e-7
