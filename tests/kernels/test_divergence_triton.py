"""The fused kernel against fp64, in Triton's interpreter where there is no GPU."""

import importlib.util
import math

import pytest
import torch
from tamis.kernels.backend import interpreting
from tamis.kernels.divergence import jensen_shannon
from tamis.kernels.logits import LMHead

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)

from tamis.kernels.divergence_triton import jensen_shannon_triton

DEVICE = "cpu" if interpreting() else "cuda"
SPLITS = (3, 192)  # of 517 words, in tiles of 64: the last one is ragged
pytestmark = [] if interpreting() else [pytest.mark.gpu]


def close_models(n=17, d=40, vocab=517, far=0.1, scale=0.3, dtype=torch.float32, seed=0):
    """Hidden states and two weights that differ by `far` relative to their size."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, d, generator=generator).to(dtype)
    first = (torch.randn(vocab, d, generator=generator) * scale).to(dtype)
    noise = torch.randn(vocab, d, generator=generator) * scale * far
    second = (first.float() + noise).to(dtype)
    return hidden.to(DEVICE), LMHead(first.to(DEVICE)), LMHead(second.to(DEVICE))


def agree(found, hidden_p, head_p, hidden_q, head_q, vocab=None, rtol=3e-5):
    """Compare with the torch implementation, which has its own tests against fp64."""
    expected = jensen_shannon(hidden_p, head_p, hidden_q, head_q, vocab)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=rtol, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_dtype(dtype):
    hidden, head_p, head_q = close_models(dtype=dtype)
    found = jensen_shannon_triton(hidden, head_p, hidden, head_q, splits=SPLITS)
    agree(found, hidden, head_p, hidden, head_q)


@pytest.mark.parametrize("far", [1.0, 0.01, 0.003])
def test_close_models_against_fp64(far):
    """Divergences from 0.3 to 1e-6, and no difference from the definition in fp64."""
    hidden, head_p, head_q = close_models(far=far)
    logs = [(hidden.double() @ h.weight.double().T).log_softmax(-1) for h in (head_p, head_q)]
    middle = torch.logaddexp(*logs) - math.log(2)
    expected = sum((log.exp() * (log - middle)).sum(1) for log in logs) / 2
    found = jensen_shannon_triton(hidden, head_p, hidden, head_q, splits=SPLITS)
    error = (found - expected).abs() / expected
    assert error[expected > 1e-5].numel() == 0 or error[expected > 1e-5].max() < 1e-4
    assert error.max() < 1e-3


def test_worked_example_by_hand():
    """p = (.5, .4, .1), q = (.5, .1, .4): .4 log 1.6 + .1 log .4 = 0.0963724."""
    p, q = (
        torch.tensor(x, device=DEVICE).log()[:, None] for x in ([0.5, 0.4, 0.1], [0.5, 0.1, 0.4])
    )
    one = torch.ones(1, 1, device=DEVICE)
    found = jensen_shannon_triton(one, LMHead(p), one, LMHead(q))
    assert found.item() == pytest.approx(0.0963724, rel=1e-5)


def test_different_sizes_padding_bias_scale_softcap_and_temperature():
    hidden_p, first, _ = close_models(seed=1)
    hidden_q, second, _ = close_models(d=64, vocab=300, seed=2)
    bias = torch.randn(517, generator=torch.Generator().manual_seed(3)).to(DEVICE)
    p = LMHead(first.weight, bias, softcap=3.0)
    q = LMHead(second.weight, scale=0.5, temperature=0.7)
    found = jensen_shannon_triton(hidden_p, p, hidden_q, q, splits=SPLITS)
    agree(found, hidden_p, p, hidden_q, q)
    found = jensen_shannon_triton(hidden_q, q, hidden_p, p, vocab=400, splits=(2, 256))
    agree(found, hidden_q, q, hidden_p, p, 400)


def test_the_same_model_twice_is_exactly_zero_and_disjoint_peaks_give_log_2():
    hidden, head, _ = close_models(scale=2.0)
    same = jensen_shannon_triton(hidden, head, hidden.clone(), LMHead(head.weight.clone()))
    assert torch.equal(same, torch.zeros(17, device=DEVICE))
    one = torch.ones(1, 1, device=DEVICE)
    p, q, even = (
        LMHead(torch.eye(9, device=DEVICE)[:, [word]] * size)
        for word, size in ((2, 1e4), (7, 1e4), (0, 0.0))
    )
    found = jensen_shannon_triton(one, p, one, q).item()
    assert found == pytest.approx(math.log(2), rel=1e-6)
    assert found <= math.log(2)
    agree(jensen_shannon_triton(one, p, one, even), one, p, one, even)


def test_repeats_bitwise_and_strided_states():
    hidden, head_p, head_q = close_models()
    strided = torch.stack([hidden, hidden], 1).reshape(34, -1)[::2]
    first = jensen_shannon_triton(hidden, head_p, hidden, head_q)
    assert torch.equal(first, jensen_shannon_triton(strided, head_p, strided, head_q))


def test_nan_in_a_hidden_state_stays_in_its_row():
    hidden, head_p, head_q = close_models(vocab=100)
    bad = hidden.clone()
    bad[3, 0] = float("nan")
    for states in ((bad, hidden), (hidden, bad)):
        found = jensen_shannon_triton(states[0], head_p, states[1], head_q)
        assert torch.isnan(found).nonzero().tolist() == [[3]]


def test_no_tokens_and_what_does_not_fit():
    hidden, head_p, head_q = close_models()
    assert jensen_shannon_triton(hidden[:0], head_p, hidden[:0], head_q).shape == (0,)
    with pytest.raises(ValueError, match="got 17 and 3"):
        jensen_shannon_triton(hidden, head_p, hidden[:3], head_q)
    with pytest.raises(ValueError, match="float64"):
        jensen_shannon_triton(hidden.double(), head_p, hidden, head_q)
