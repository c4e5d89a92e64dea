import os
import subprocess
import sys
import weakref

import pytest
from tamis.errors import ModelError
from tamis.stages import hardware


def test_auto_dtype(monkeypatch):
    assert hardware.resolve_dtype("fp16", "cpu") == "fp16"
    for has, dtype in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(hardware, "_cpu_has_bf16", lambda has=has: has)
        assert hardware.resolve_dtype("auto", "cpu") == dtype


def test_auto_kernel_is_torch_without_a_gpu_and_triton_is_never_replaced(monkeypatch):
    assert hardware.resolve_kernel("auto", "cpu") == "torch"
    assert hardware.resolve_kernel("torch", "cpu") == "torch"
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ModelError, match="backend triton cannot run on cpu: it needs an NVIDIA"):
        hardware.resolve_kernel("triton", "cpu")


def test_no_gpu(monkeypatch):
    hardware.check_device("gpt2", "cpu")
    monkeypatch.setattr(hardware.torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="model 'gpt2': device is cuda, but there is no GPU here"):
        hardware.check_device("gpt2", "cuda")


@pytest.mark.slow
def test_memory_is_given_back_from_circles_too():
    class Ring:
        def __init__(self):
            self.self = self

    ring = weakref.ref(Ring())
    hardware.free_memory()
    assert ring() is None


def test_gpus_are_named():
    found = hardware.gpus()
    assert len(found) == (
        hardware.torch.cuda.device_count() if hardware.torch.cuda.is_available() else 0
    )
    assert all("GB free" in line for line in found)


PRODUCTS = """
import sys, torch
from tamis.pipeline.machine import memory_in_use
from tamis.stages.hardware import bound_shapes
if sys.argv[1] == "bounded":
    bound_shapes()
weight = torch.ones(512, 512, dtype=torch.bfloat16)
def products(sizes):
    for size in sizes:
        torch.ones(size, 512, dtype=torch.bfloat16) @ weight
products(range(64, 100))
before = memory_in_use()
products(range(100, 500))
print(memory_in_use() - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_every_shape():
    if hardware.resolve_dtype("auto", "cpu") != "bf16":
        pytest.skip("this processor does not multiply bf16 itself, and oneDNN compiles nothing")
    plain = {k: v for k, v in os.environ.items() if k not in hardware.CACHES}

    def grown(how):
        command = [sys.executable, "-c", PRODUCTS, how]
        return int(subprocess.run(command, env=plain, capture_output=True, check=True).stdout)

    assert grown("bounded") < grown("free") / 2
