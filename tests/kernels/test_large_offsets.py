"""Matrices of more than 2^31 elements: offsets need 64 bits.

The memory is mapped and never filled; of a whole grid only the last program runs. In front of each
tensor lies as much mapped memory again: an offset that wrapped reads zeros there, instead of
ending the process.
"""

import mmap

import numpy as np
import pytest
import torch
from tamis.kernels.backend import interpreting

pytest.importorskip("triton")
if not interpreting():
    pytest.skip("only the interpreter can run one program of a grid", allow_module_level=True)

import triton.language as tl
from tamis.kernels import token_stats_triton as module
from tamis.kernels.tiles import Tile
from tamis.kernels.token_stats_kernels import scan_kernel, target_kernel
from triton.runtime import interpreter

DIM = 64
MANY = (1 << 31) // DIM + 40  # rows whose elements have offsets beyond 31 bits
TILE = Tile(16, 64, 32, 4, 1)
NO_RESERVE = 0x4000  # MAP_NORESERVE: pages count when they are touched


@pytest.fixture
def run_last(monkeypatch):
    """Run the last program of a grid of `programs`."""

    def run(kernel, programs, *arguments, **flags):
        def constant(value):
            handle = interpreter.TensorHandle(np.array([value], np.int32), tl.int32)
            return lambda self, axis: handle

        builder = type(interpreter.interpreter_builder)
        monkeypatch.setattr(builder, "create_get_program_id", constant(programs - 1))
        monkeypatch.setattr(builder, "create_get_num_programs", constant(programs))
        # It would copy all memory onto itself.
        monkeypatch.setattr(interpreter.GridExecutor, "_restore_args_dev", lambda *_: None)
        shared = module._flags(torch.float16, torch.float16, DIM, TILE)
        kernel[(1,)](*arguments, **shared, **flags, BIAS=False, SHAPE="plain")

    return run


def mapped(*shape, dtype=torch.float16):
    """Zeros that take no memory until they are written."""
    size = int(np.prod(shape)) * dtype.itemsize
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE
    whole = torch.frombuffer(mmap.mmap(-1, 2 * size, flags=flags), dtype=dtype)
    return whole[whole.numel() // 2 :].view(shape)


def rows(count, seed):
    return torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed)).half()


def problem(n, vocab, words):
    """H, W and targets that are zeros but for the last tokens and words."""
    hidden, weight = mapped(n, DIM), mapped(vocab, DIM)
    targets = mapped(n, dtype=torch.int64)
    tokens = min(n, 8)
    hidden[-tokens:], weight[-words:] = rows(tokens, 0), rows(words, 1) / 8
    targets[-tokens:] = vocab - 1 - torch.arange(tokens)
    return hidden, weight, targets, tokens


@pytest.mark.parametrize(("n", "vocab"), [(MANY, 70), (5, MANY)])
def test_logits_of_targets(run_last, n, vocab):
    hidden, weight, targets, tokens = problem(n, vocab, 40)
    out = mapped(n, dtype=torch.float32)
    programs = -(-n // 16)
    run_last(target_kernel, programs, hidden, weight, None, targets, out, n, DIM, 1.0)
    expected = (hidden[-tokens:].double() * weight[targets[-tokens:]].double()).sum(1)
    assert expected.abs().min() > 0
    torch.testing.assert_close(out[-tokens:].double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("n", "vocab"), [(MANY, 65 * 64 - 24), (5, MANY)])
def test_states_of_the_last_split(run_last, n, vocab):
    """With many tokens, fields of the output and splits in a field lie beyond 31 bits too."""
    words = vocab % 64
    hidden, weight, targets, tokens = problem(n, vocab, words)
    x_target = mapped(n, dtype=torch.float32)
    x_target[-tokens:] = 0.25
    splits = -(-vocab // 64)
    out = mapped(5, splits, n, dtype=torch.float32)
    flags = {"ENTROPY": True, "SUM_P2": True, "RANK": True} | module._scan_flags(TILE)
    given = (hidden, weight, None, targets, x_target, out, n, vocab, DIM, 64, 1.0, module.LOG2_E)
    run_last(scan_kernel, splits * -(-n // 16), *given, **flags)

    x = hidden[-tokens:].double() @ weight[-words:].double().T
    own = targets[-tokens:] - (vocab - words)
    others = torch.ones_like(x, dtype=torch.bool).scatter_(1, own[:, None], False)
    x = x[others].view(tokens, words - 1)
    z = (x - x.amax(1, keepdim=True)) * module.LOG2_E
    p = z.exp2()
    expected = [x.amax(1), p.sum(1), (p * z).sum(1), (p * p).sum(1), (x > 0.25).sum(1)]
    found = out[:, -1, -tokens:].double()
    torch.testing.assert_close(found, torch.stack(expected).double(), rtol=1e-5, atol=1e-5)
