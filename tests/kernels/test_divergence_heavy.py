"""Peaked rows of close models, in plain torch and in the fused kernel, against fp64."""

import importlib.util
import math

import pytest
import torch
from tamis.kernels import divergence_heavy
from tamis.kernels.backend import interpreting
from tamis.kernels.divergence import LN2, Side, jensen_shannon
from tamis.kernels.logits import LMHead
from tamis.tests.kernels.test_divergence import reference

DEVICE = "cpu" if interpreting() or not torch.cuda.is_available() else "cuda"
CAN = importlib.util.find_spec("triton") is not None and (interpreting() or DEVICE == "cuda")
BACKENDS = ["torch", pytest.param("triton", marks=pytest.mark.skipif(not CAN, reason="no Triton"))]
every = pytest.mark.parametrize("backend", BACKENDS)


def peaked(far, dtype=torch.float32, n=19, d=40, vocab=200, words=5, seed=0, size=20.0):
    """Hidden states that point at a few words each, and two models `far` apart."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(vocab, d, generator=generator) / d**0.5
    noise = torch.randn(vocab, d, generator=generator) / d**0.5
    at = torch.randint(vocab, (n, words), generator=generator)
    hidden = torch.linalg.lstsq(first[at], torch.full((n, words, 1), size)).solution[..., 0]
    weights = first.to(dtype), (first + far * noise).to(dtype)
    return hidden.to(dtype), LMHead(weights[0]), LMHead(weights[1])


def moved(head):
    bias = None if head.bias is None else head.bias.to(DEVICE)
    return LMHead(head.weight.to(DEVICE), bias, head.scale, head.softcap, head.temperature)


def run(backend, hidden_p, p, hidden_q, q, vocab=None):
    states = hidden_p.to(DEVICE), hidden_q.to(DEVICE)
    found = jensen_shannon(states[0], moved(p), states[1], moved(q), vocab, backend=backend)
    return found.cpu()


def compare(backend, hidden_p, p, hidden_q, q, vocab=None):
    found = run(backend, hidden_p, p, hidden_q, q, vocab)
    expected = reference(hidden_p, p, hidden_q, q, vocab)
    assert ((found >= 0) & (found <= LN2)).all()
    seen = expected >= 1e-5
    assert seen.sum() >= 5
    assert ((found - expected).abs() / expected)[seen].max() <= 1e-4


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("far", [0.5, 0.05, 0.01, 0.004])
def test_peaked_rows_of_close_models(backend, far, dtype):
    hidden, p, q = peaked(far, dtype)
    compare(backend, hidden, p, hidden, q)


@pytest.mark.skipif(not CAN, reason="no Triton")
def test_the_kernel_leaves_heavy_words_out(monkeypatch):
    """Without what is added for its marks, most of the sum is missing."""
    backend = "triton"
    hidden, p, q = peaked(0.01)
    full = run(backend, hidden, p, hidden, q)
    monkeypatch.setattr(divergence_heavy, "_marked", lambda marks: iter(()))
    assert (run(backend, hidden, p, hidden, q) < 0.5 * full).sum() > 10


@every
def test_peaked_rows_with_bias_softcap_padding_and_other_dims(backend):
    hidden, p, q = peaked(0.02)
    generator = torch.Generator().manual_seed(1)
    bias = torch.randn(200, generator=generator)
    extra = torch.randn(70, 40, generator=generator)
    options = {"bias": bias, "scale": 0.9, "softcap": 30.0, "temperature": 1.1}
    wide = torch.cat([hidden, torch.zeros(19, 24)], 1)
    weight = torch.cat([torch.cat([q.weight, extra]), torch.ones(270, 24)], 1)
    longer = options | {"bias": torch.cat([bias, torch.zeros(70)])}
    first, second = LMHead(p.weight, **options), LMHead(weight, **longer)
    compare(backend, hidden, first, wide, second)
    compare(backend, wide, second, hidden, first, 200)


@every
def test_repeats_bitwise_and_small_pieces(backend, monkeypatch):
    hidden, p, q = peaked(0.01)
    found = run(backend, hidden, p, hidden, q)
    assert torch.equal(found, run(backend, hidden, p, hidden, q))
    monkeypatch.setattr(divergence_heavy, "LISTED", 3)
    monkeypatch.setattr(divergence_heavy, "PICK_BYTES", 8 * 40 * 2)
    torch.testing.assert_close(run(backend, hidden, p, hidden, q), found, rtol=1e-6, atol=0)


@pytest.mark.skipif(not CAN, reason="no Triton")
def test_tokens_in_turn(monkeypatch):
    from tamis.kernels import divergence_triton

    hidden, p, q = peaked(0.02, n=37)
    expected = run("triton", hidden, p, hidden, q)
    monkeypatch.setattr(divergence_triton, "MASK_BYTES", 1)
    torch.testing.assert_close(run("triton", hidden, p, hidden, q), expected, rtol=1e-5, atol=0)


def test_marks_are_unpacked_bit_by_bit():
    """Words 0, 31, 63 of token 0 and 32 of token 2; each term from its own product."""
    hidden, p, q = peaked(0.1, n=3)
    sides = [Side(hidden, head, torch.logsumexp(hidden @ head.weight.T, 1)) for head in (p, q)]
    marks = torch.zeros(3, 7, dtype=torch.int32)
    marks[0, 0], marks[0, 1], marks[2, 1] = -(2**31) + 1, -(2**31), 1
    words = [[0, 31, 63], [], [32]]
    expected = torch.zeros(3, dtype=torch.float64)
    for row, some in enumerate(words):
        for word in some:
            z = [hidden[row].double() @ side.head.weight[word].double() for side in sides]
            logs = [value - side.lse[row] for value, side in zip(z, sides, strict=True)]
            middle = torch.logaddexp(*logs) - LN2
            expected[row] += sum(log.exp() * (log - middle) for log in logs) / 2
    found = divergence_heavy.heavy_sums(*sides, marks)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-12)


@every
def test_shapes_at_the_edges(backend):
    hidden, p, q = peaked(0.3, n=33)
    assert run(backend, hidden[:0], p, hidden[:0], q).shape == (0,)
    compare(backend, hidden, p, hidden, q)  # 33 is no multiple of a tile
    plain = run(backend, hidden, p, hidden, q)
    one = run(backend, hidden[:1], p, hidden[:1], q)
    torch.testing.assert_close(one, plain[:1], rtol=1e-5, atol=0)
    strided = torch.stack([hidden, hidden], 2)[..., 0]
    assert not strided.is_contiguous()
    torch.testing.assert_close(run(backend, strided, p, strided, q), plain, rtol=1e-6, atol=0)


@every
def test_far_levels(backend):
    """All logits near -300 round by 3e-5; one of 1e4 has steps of 1e-3."""
    hidden, p, q = peaked(0.3)
    low = torch.full((200,), -300.0)
    found = run(backend, hidden, LMHead(p.weight, low), hidden, LMHead(q.weight, low))
    expected = reference(hidden, p, hidden, q)
    torch.testing.assert_close(found.double(), expected, rtol=5e-3, atol=0)
    spike = torch.zeros(200)
    spike[7] = 1e4
    for heads in ((LMHead(p.weight, spike), q), (LMHead(p.weight, spike),) * 2):
        found = run(backend, hidden, heads[0], hidden, heads[1])
        expected = reference(hidden, heads[0], hidden, heads[1])
        torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-12)


@every
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numpy, which interprets
@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_rows_without_a_distribution_are_nan_and_no_others(backend, bad):
    hidden, p, q = peaked(0.3)
    spoilt = hidden.clone()
    spoilt[3, 5] = bad
    plain = run(backend, hidden, p, hidden, q)
    same_sign = LMHead(p.weight.abs())  # logits of one row are all -inf, or all inf
    for states, heads in (((spoilt, hidden), (p, q)), ((hidden, spoilt), (p, same_sign))):
        found = run(backend, states[0], heads[0], states[1], heads[1])
        assert torch.isnan(found).nonzero().tolist() == [[3]]
        if heads[1] is q:
            assert torch.equal(found[torch.arange(19) != 3], plain[torch.arange(19) != 3])
