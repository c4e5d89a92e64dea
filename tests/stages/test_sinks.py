import math

import pytest
import torch
from tamis.errors import WorkerError
from tamis.kernels.projection import project
from tamis.stages.sinks import Dense, Kronecker, factors

SIZES = [(6, 4), (3, 6)]  # (d_out, d_in) of each parameter
NUMBERS = [out * into for out, into in SIZES]


def blocks(n, seed=0, width=5):
    """Random gradients at the outputs, and inputs, of every parameter."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    return [(normal(n, width, out), normal(n, width, into)) for out, into in SIZES]


def whole(parts):
    return torch.cat([torch.einsum("nto,nti->noi", *pair).flatten(1) for pair in parts], 1)


def feed(sink, parts, batches):
    for rows in batches:
        sink.begin(rows)
        for place, (outputs, inputs) in enumerate(parts):
            sink.add(place, outputs[rows], inputs[rows])
        sink.end()
    return sink.result()


@pytest.mark.parametrize("memory", [1 << 30, 1200, 64])
def test_any_memory_gives_the_projection_of_the_whole(memory):
    """Held and projected together; some rows together; parameter by parameter in slices."""
    parts = blocks(7)
    sink = Dense(7, NUMBERS, dim=64, seed=3, memory=memory)
    found = feed(sink, parts, [[4, 5, 6], [0, 1], [3, 2]])
    assert sink.capacity == {1 << 30: 7, 1200: 3, 64: 0}[memory]
    torch.testing.assert_close(found, project(whole(parts), 3, 64), rtol=1e-4, atol=1e-5)


def test_without_a_dimension_the_gradients_themselves():
    parts = blocks(4)
    found = feed(Dense(4, NUMBERS, dim=None), parts, [[2, 0], [1, 3]])
    torch.testing.assert_close(found, whole(parts), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("memory", [1 << 30, 64])
def test_every_block_is_turned_before_it_is_projected(memory):
    parts = blocks(4)

    def turn(place, grads):
        grads.copy_(grads.sign() * (place + 1))

    found = feed(Dense(4, NUMBERS, dim=32, turn=turn, memory=memory), parts, [[0, 1, 2, 3]])
    scale = torch.repeat_interleave(torch.tensor([1.0, 2.0]), torch.tensor(NUMBERS))
    expected = project(whole(parts).sign() * scale, 0, 32)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("memory", [1 << 30, 64])
def test_a_batch_that_breaks_off_is_forgotten(memory):
    parts = blocks(4)
    sink = Dense(4, NUMBERS, dim=32, memory=memory)
    sink.begin([0, 1, 2, 3])
    sink.add(0, *parts[0])
    found = feed(sink, parts, [[0, 1], [2, 3]])
    torch.testing.assert_close(found, project(whole(parts), 0, 32), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["dense", "kronecker"])
def test_inner_products_are_kept_within_the_expected_deviation(kind):
    parts, dim = blocks(6), 4096
    sink = Dense(6, NUMBERS, dim=dim) if kind == "dense" else Kronecker(6, dim=dim, backend="torch")
    found, true = feed(sink, parts, [list(range(6))]), whole(parts)
    size = true.norm(dim=1)
    error = (found @ found.T - true @ true.T) / (size[:, None] * size)
    bound = {"dense": 4 * math.sqrt(2 / dim), "kronecker": 4 * math.sqrt(4 / 64)}[kind]
    assert error.abs().max() < bound


def test_factors():
    assert factors(8192) == (64, 128)
    assert factors(4096) == (64, 64)
    assert factors(7) == (1, 7)


def test_a_projection_that_does_not_fit_says_what_to_set(monkeypatch):
    def full(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr("tamis.stages.sinks.project", full)
    sink = Dense(7, NUMBERS, dim=64, memory=1 << 20)
    with pytest.raises(WorkerError, match=r"projection of 7 gradients.*set memory_mb \(now 1 "):
        feed(sink, blocks(7), [[4, 5, 6], [0, 1], [3, 2]])
