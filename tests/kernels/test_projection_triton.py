"""The Triton projection against the matrix of signs in fp64; interpreted where there is no GPU."""

import math

import pytest
import torch
from tamis.kernels import projection
from tamis.kernels.backend import interpreting
from tamis.kernels.projection import project, project_kronecker, sign_matrix

pytest.importorskip("triton")
from tamis.kernels import projection_triton as module
from tamis.kernels.projection_triton import project_triton

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and not interpreting(), reason="neither a GPU nor the interpreter"
)
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
ROUNDING = 4e-6 if DEVICE == "cpu" else 4e-5  # the interpreter does not model tensor cores


def normal(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def run(x, *arguments):
    return project_triton(x.to(DEVICE), *arguments).cpu()


def error(found, expected, x):
    """Largest difference, in units of ``|x| / sqrt(k)``."""
    typical = x.double().norm(dim=1, keepdim=True) / math.sqrt(expected.shape[1])
    return ((found - expected).abs() / typical).max().item()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("rows", "width", "k", "first"),
    [(1, 1, 1, 0), (3, 200, 100, 7), (64, 64, 128, 0), (70, 130, 300, 2**31 - 60)],
)
def test_equals_the_product_with_the_matrix(rows, width, k, first, dtype):
    x = normal(rows, width, dtype=dtype)
    matrix = sign_matrix(11, k, range(first, first + width)).double()
    found = run(x, 11, k, first)
    assert found.dtype == torch.float32
    assert error(found, x.double() @ matrix / math.sqrt(k), x) < ROUNDING


@pytest.mark.parametrize("seed", [0, 3, 2**32 - 1, 2**63 - 1])
def test_signs_are_those_of_torch_bit_for_bit(seed):
    """Rows of the identity select the signs themselves."""
    first = 2**33 - 30  # the high word changes inside
    found = run(torch.eye(60), seed, 256, first) * 16
    assert torch.equal(found, sign_matrix(seed, 256, range(first, first + 60)))


def test_splits_and_inner_sums(monkeypatch):
    x = normal(5, 1500)
    expected = project(x, 2, 40)
    monkeypatch.setattr(module, "INNER", 3)
    for splits, least in ((1, 100), (4, 100), (16, 100)):  # the last ones have nothing to do
        monkeypatch.setattr(module, "SPLITS", splits)
        monkeypatch.setattr(module, "SPLIT_MIN", least)
        found = run(x, 2, 40)
        assert error(found, expected, x) < ROUNDING
        assert torch.equal(found, run(x, 2, 40))


def test_launches_add_up(monkeypatch):
    x = normal(5, 700)
    monkeypatch.setattr(module, "WIDTH_MAX", 256)
    assert error(run(x, 2, 40, 9), project(x, 2, 40, 9), x) < ROUNDING


def test_strides():
    x = normal(90, 20)
    assert error(run(x.T, 0, 33), project(x.T, 0, 33), x.T) < ROUNDING
    assert error(run(x[:, ::3], 0, 33), project(x[:, ::3], 0, 33), x[:, ::3]) < ROUNDING


def test_range_of_fp32():
    """Three bf16 parts hold all 24 bits of large and small numbers."""
    x = normal(2, 100) * torch.logspace(-30, 30, 100)
    assert error(run(x, 0, 64), project(x, 0, 64), x) < ROUNDING
    parts, rest = [], normal(1000)
    for _ in range(3):
        parts.append(rest.bfloat16().float())
        rest = rest - parts[-1]
    assert not rest.any()


def test_backends_agree_whatever_the_blocks(monkeypatch):
    x = normal(6, 500)
    expected = project(x, 5, 70, 3)
    for block, piece in ((64, 128), (2048, 1 << 16)):
        monkeypatch.setattr(projection, "BLOCK", block)
        monkeypatch.setattr(projection, "PIECE", piece)
        assert error(project(x, 5, 70, 3), expected, x) < ROUNDING
    found = project(x.to(DEVICE), 5, 70, 3, backend="triton").cpu()
    assert error(found, expected, x) < ROUNDING


def test_kronecker_of_both_backends():
    outputs, inputs = normal(30, 50), normal(30, 70).flip(0)
    owner = torch.arange(30) % 4
    call = outputs, inputs, owner
    expected = project_kronecker(*call, 4, 7, (33, 40), layer=2)
    found = project_kronecker(
        *(x.to(DEVICE) for x in call), 4, 7, (33, 40), layer=2, backend="triton"
    ).cpu()
    size = (outputs.norm(dim=1) * inputs.norm(dim=1)).sum() / math.sqrt(33 * 40)
    assert (found - expected).abs().max() < ROUNDING * size


def test_nothing():
    assert run(torch.empty(0, 10), 0, 5).shape == (0, 5)
    assert run(torch.empty(2, 0), 0, 5).tolist() == [[0.0] * 5] * 2


def test_errors(monkeypatch):
    with pytest.raises(ValueError, match="got -1"):
        run(torch.zeros(3, 2), -1, 4)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match="TRITON_INTERPRET"):
        project_triton(torch.zeros(3, 2), 0, 4)
