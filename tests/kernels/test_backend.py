import sys

import pytest
import torch
from tamis.kernels.backend import choose, interpreting


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


@pytest.fixture
def gpu(monkeypatch):
    """A function that pretends there is an NVIDIA GPU of some capability."""

    def pretend(*capability, hip=None):
        monkeypatch.setattr(torch.version, "hip", hip)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setitem(sys.modules, "triton", sys)  # anything that can be imported

    return pretend


def refusal(device):
    with pytest.raises(ValueError) as caught:
        choose("triton", device)
    message = str(caught.value)
    assert device in message
    assert "\n" not in message
    return message


def test_on_a_cpu():
    assert choose("auto", "cpu") == choose("torch", "cpu") == "torch"
    assert "TRITON_INTERPRET=1" in refusal("cpu")


@pytest.mark.parametrize("value", ["1", "true"])
def test_interpreted_on_a_cpu_only_when_asked_for(monkeypatch, value):
    monkeypatch.setenv("TRITON_INTERPRET", value)
    monkeypatch.setitem(sys.modules, "triton", sys)
    assert interpreting()
    assert choose("triton", "cpu") == "triton"
    assert choose("auto", "cpu") == choose("torch", "cpu") == "torch"


def test_the_interpreter_switched_off(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    assert not interpreting()
    refusal("cpu")


@pytest.mark.parametrize("capability", [(8, 0), (8, 6), (9, 0), (10, 0), (12, 0)])
def test_on_a_gpu(gpu, capability):
    gpu(*capability)
    for device in ("cuda", "cuda:1"):
        assert choose("auto", device) == choose("triton", device) == "triton"
        assert choose("torch", device) == "torch"


def test_on_an_old_gpu(gpu):
    gpu(7, 5)
    assert choose("auto", "cuda") == "torch"
    assert "7.5" in refusal("cuda")


def test_on_an_amd_gpu(gpu):
    gpu(9, 4, hip="6.4")
    assert choose("auto", "cuda") == "torch"
    refusal("cuda")


def test_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose("auto", "cuda") == "torch"
    refusal("cuda:0")


def test_without_triton(gpu, monkeypatch):
    gpu(9, 0)
    monkeypatch.setitem(sys.modules, "triton", None)
    assert choose("auto", "cuda") == "torch"
    assert "imported" in refusal("cuda")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    refusal("cpu")


def test_an_unknown_choice():
    with pytest.raises(ValueError, match="auto, torch, triton"):
        choose("cuda", "cpu")
