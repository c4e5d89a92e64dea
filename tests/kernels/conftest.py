"""The interpreter made to round where the machine does."""

import importlib.util

import numpy as np
import pytest
from tamis.kernels.backend import interpreting


@pytest.fixture(autouse=True)
def fused_multiply_add(monkeypatch):
    """`tl.fma` rounds once, as on a GPU; Triton's interpreter rounds the product first."""
    if not interpreting() or importlib.util.find_spec("triton") is None:
        return
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    def create_fma(self, x, y, z):
        whole = x.data.astype(np.float64) * y.data + z.data
        return TensorHandle(whole.astype(z.data.dtype), z.dtype.scalar)

    monkeypatch.setattr(InterpreterBuilder, "create_fma", create_fma)
