import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tamis.kernels import divergence as module
from tamis.kernels import logits
from tamis.kernels.divergence import jensen_shannon
from tamis.kernels.logits import LMHead

LN2 = math.log(2)


def shaped(hidden, head, vocab):
    """Whole logits in fp64, words that the head does not have at -inf."""
    z = hidden.double() @ head.weight.double().T
    if head.bias is not None:
        z = z + head.bias.double()
    z = z * head.scale
    if head.softcap is not None:
        z = torch.tanh(z / head.softcap) * head.softcap
    z = (z / head.temperature)[:, :vocab]
    return torch.nn.functional.pad(z, (0, vocab - z.shape[1]), value=-math.inf)


def reference(hidden_p, head_p, hidden_q, head_q, vocab=None):
    """From the definition, in fp64, whose own noise is about 1e-16."""
    if vocab is None:
        vocab = max(len(head_p.weight), len(head_q.weight))
    log_p = shaped(hidden_p, head_p, vocab).log_softmax(-1)
    log_q = shaped(hidden_q, head_q, vocab).log_softmax(-1)
    log_m = torch.logaddexp(log_p, log_q) - LN2
    halves = (logs.exp() * (logs - log_m) for logs in (log_p, log_q))
    return 0.5 * sum(torch.nan_to_num(half).sum(1) for half in halves)


def close_models(n=33, d=40, vocab=517, far=0.1, scale=0.3, dtype=torch.float32, seed=0):
    """Hidden states and two weights that differ by `far` relative to their size."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, d, generator=generator).to(dtype)
    first = (torch.randn(vocab, d, generator=generator) * scale).to(dtype)
    noise = torch.randn(vocab, d, generator=generator) * scale * far
    return hidden, LMHead(first), LMHead((first.float() + noise).to(dtype))


def of_distributions(p, q):
    """The divergence of one pair of distributions given as lists of probabilities."""
    heads = [LMHead(torch.tensor(x, dtype=torch.float64).log().float()[:, None]) for x in (p, q)]
    return jensen_shannon(torch.ones(1, 1), heads[0], torch.ones(1, 1), heads[1]).item()


def test_two_words_by_hand():
    """p = (.75, .25), q = (.25, .75), m = (.5, .5): .75 log 1.5 + .25 log .5 = 0.1308120."""
    by_hand = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert by_hand == pytest.approx(0.1308120, abs=1e-7)
    assert of_distributions([0.75, 0.25], [0.25, 0.75]) == pytest.approx(by_hand, rel=1e-6)


def test_three_words_by_hand():
    """p = (.5, .4, .1), q = (.5, .1, .4): m = (.5, .25, .25), the first word adds nothing.

    Each side gives .4 log 1.6 + .1 log .4 = .1880015 - .0916291 = 0.0963724.
    """
    found = of_distributions([0.5, 0.4, 0.1], [0.5, 0.1, 0.4])
    assert found == pytest.approx(0.0963724, rel=1e-6)


def test_three_words_in_the_series_by_hand():
    """p = (.4, .3, .3), q = (.4, .33, .27): T = .03 / .63 and .03 / .57.

    .315 h(1/21) + .285 h(1/19), h(T) = T^2 / 2 + T^4 / 12:
    .315 * 1.1342156e-3 + .285 * 1.3856720e-3 = 7.5219443e-4.
    """
    found = of_distributions([0.4, 0.3, 0.3], [0.4, 0.33, 0.27])
    assert found == pytest.approx(7.5219e-4, rel=3e-5)


@pytest.mark.parametrize("r", [0.0, 1e-4, 0.1, 0.3499, 0.3501, 1.0, 5.0, 30.0, 1e4])
def test_terms_on_both_sides_of_the_series(r):
    """A word with p = 1 and q = exp(-r): its own term, from the definition in fp64."""
    for p, q in ((0.0, -r), (-r, 0.0)):
        z = [torch.tensor([[value]]) for value in (p, q)]
        zero = torch.zeros(1, 1)
        found = module.terms(z[0], z[1], zero, zero).item()
        small = math.exp(-r)
        m = (1 + small) / 2
        exact = 0.5 * (-math.log(m) + (small * (-r - math.log(m)) if small else 0.0))
        if r == 1e-4:
            exact = r * r / 8 * (1 - r / 2)
        assert found == pytest.approx(exact, rel=2e-6, abs=0)


@pytest.mark.parametrize("scale", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("far", [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001])
def test_close_models_against_fp64(far, scale):
    """Divergences from 0.5 down to 1e-7; the usual formula in fp32 is off by 1 at 1e-4."""
    hidden, head_p, head_q = close_models(n=64, d=64, vocab=5000, far=far, scale=scale)
    found = jensen_shannon(hidden, head_p, hidden, head_q)
    expected = reference(hidden, head_p, hidden, head_q)
    error = (found - expected).abs() / expected
    assert found.dtype == torch.float32
    assert (error[expected > 1e-5] < 1e-4).all()
    assert (error[expected > 1e-7] < 3e-3).all()
    assert (found >= 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_loses_nothing(dtype):
    for far in (1.0, 0.1, 0.03):
        hidden, head_p, head_q = close_models(far=far, dtype=dtype)
        found = jensen_shannon(hidden, head_p, hidden, head_q)
        expected = reference(hidden, head_p, hidden, head_q)
        torch.testing.assert_close(found.double(), expected, rtol=3e-5, atol=0)


def test_the_two_models_may_differ_in_dtype_and_switches_are_put_back():
    hidden, head_p, head_q = close_models(dtype=torch.bfloat16)
    head_q = LMHead(head_q.weight.float())
    before = torch.backends.mkldnn.matmul.fp32_precision
    found = jensen_shannon(hidden, head_p, hidden.float(), head_q)
    assert torch.backends.mkldnn.matmul.fp32_precision == before
    expected = reference(hidden, head_p, hidden, head_q)
    torch.testing.assert_close(found.double(), expected, rtol=3e-5, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_model_twice_is_exactly_zero(dtype):
    hidden, head, _ = close_models(n=600, vocab=3000, scale=2.0, dtype=dtype)
    copy = LMHead(head.weight.clone())
    assert torch.equal(jensen_shannon(hidden, head, hidden.clone(), copy), torch.zeros(600))


def test_symmetric():
    for far in (1.0, 0.01):
        hidden, head_p, head_q = close_models(far=far)
        there = jensen_shannon(hidden, head_p, hidden, head_q)
        back = jensen_shannon(hidden, head_q, hidden, head_p)
        torch.testing.assert_close(there, back, rtol=1e-5, atol=0)


def test_disjoint_peaks_give_log_2():
    head_p, head_q = (LMHead(torch.eye(9)[:, [word]] * 1e4) for word in (2, 7))
    one = torch.ones(1, 1)
    assert jensen_shannon(one, head_p, one, head_q).item() == pytest.approx(LN2, rel=1e-7)
    assert jensen_shannon(one, head_p, one, head_q).item() <= LN2


def test_underflowing_probabilities_give_no_nan():
    """p is 1 at one word and underflows elsewhere, q is even over 9 words.

    The peak adds ((1 + 1/9) / 2) h(.8) and each other word ln 2 / 18.
    """
    peak = LMHead(torch.eye(9)[:, [4]] * 1e4)
    even = LMHead(torch.zeros(9, 1))
    one = torch.ones(1, 1)
    h = math.log(1.8) - 0.2 * math.log(9) / 2
    expected = (1 + 1 / 9) / 2 * h + 8 * LN2 / 18
    for heads in ((peak, even), (even, peak)):
        assert jensen_shannon(one, heads[0], one, heads[1]).item() == pytest.approx(
            expected,
            rel=3e-5,  # a logit of 1e4 has steps of 1e-3
        )


@pytest.mark.parametrize("level", [-300.0, 300.0])
def test_all_logits_far_from_zero(level):
    hidden, head_p, head_q = close_models()
    moved = LMHead(head_q.weight, bias=torch.full((517,), level))
    found = jensen_shannon(hidden, head_p, hidden, moved)
    expected = reference(hidden, head_p, hidden, head_q)
    torch.testing.assert_close(found.double(), expected, rtol=5e-3, atol=0)


def test_different_hidden_sizes_bias_scale_softcap_and_temperature():
    hidden_p, head_p, _ = close_models(seed=1)
    hidden_q, head_q, _ = close_models(d=24, seed=2)
    bias = torch.randn(517, generator=torch.Generator().manual_seed(3))
    for p, q in (
        (head_p, head_q),
        (LMHead(head_p.weight, bias), LMHead(head_q.weight, scale=0.5)),
        (LMHead(head_p.weight, softcap=3.0), LMHead(head_q.weight, bias, temperature=0.7)),
    ):
        found = jensen_shannon(hidden_p, p, hidden_q, q)
        expected = reference(hidden_p, p, hidden_q, q)
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)


def test_words_made_again_in_fp64_get_bias_scale_softcap_and_temperature():
    hidden, head_p, head_q = close_models(far=0.001, scale=1.0)
    bias = torch.randn(517, generator=torch.Generator().manual_seed(3))
    options = {"bias": bias, "scale": 0.9, "softcap": 30.0, "temperature": 1.1}
    p, q = LMHead(head_p.weight, **options), LMHead(head_q.weight, **options)
    found = jensen_shannon(hidden, p, hidden, q)
    expected = reference(hidden, p, hidden, q)
    assert ((found - expected).abs() / expected)[expected > 1e-6].max() < 3e-4


@pytest.mark.parametrize("more", [1, 100, 3000])
def test_words_that_one_model_does_not_have(more):
    """Also whole tiles of them; the seldom word has a bias, or nothing would be seen."""
    hidden, head_p, head_q = close_models(vocab=300)
    extra = torch.randn(more, 40, generator=torch.Generator().manual_seed(5)) * 0.3
    bias = torch.cat([torch.zeros(300), torch.full((more,), 3.0)])
    larger = LMHead(torch.cat([head_q.weight, extra]), bias)
    expected = reference(hidden, head_p, hidden, larger)
    for given_ in ((head_p, larger), (larger, head_p)):
        found = jensen_shannon(hidden, given_[0], hidden, given_[1])
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)


def test_vocab_leaves_padding_out():
    hidden, head_p, head_q = close_models()
    padded = LMHead(torch.cat([head_q.weight, torch.full((60, 40), 9.0)]), torch.zeros(577))
    expected = reference(hidden, head_p, hidden, head_q)
    found = jensen_shannon(hidden, head_p, hidden, padded, vocab=517)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)
    fewer = jensen_shannon(hidden, head_p, hidden, padded, vocab=500)
    expected = reference(hidden, head_p, hidden, padded, vocab=500)
    torch.testing.assert_close(fewer.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_many_tiles_of_rows_and_columns(dtype, monkeypatch):
    for place, name, value in (
        *((logits, "TILE_ROWS", 16), (logits, "TILE_VOCAB", 100), (logits, "UPCAST_BYTES", 0)),
        *((module, "PIECE_ROWS", 5), (module, "PICKS", 3)),
    ):
        monkeypatch.setattr(place, name, value)
    for n, vocab in ((50, 1030), (16, 100), (17, 101), (1, 1)):
        hidden, head_p, head_q = close_models(n=n, vocab=vocab, dtype=dtype, scale=0.5)
        found = jensen_shannon(hidden, head_p, hidden, head_q)
        expected = reference(hidden, head_p, hidden, head_q)
        torch.testing.assert_close(found.double(), expected, rtol=3e-5, atol=1e-12)


def test_no_tokens_one_word_and_weights_that_want_gradients():
    hidden, head_p, head_q = close_models()
    assert jensen_shannon(hidden[:0], head_p, hidden[:0], head_q).shape == (0,)
    one = LMHead(head_p.weight[:1]), LMHead(head_q.weight[:1])
    assert jensen_shannon(hidden, one[0], hidden, one[1]).max() < 1e-12
    trained = LMHead(torch.nn.Parameter(head_p.weight))
    assert not jensen_shannon(hidden, trained, hidden, head_q).requires_grad


def test_not_contiguous_hidden_states_and_repeats_bitwise():
    hidden, head_p, head_q = close_models(n=40)
    strided = torch.stack([hidden, hidden], 1).reshape(80, -1)[::2]
    assert not strided.is_contiguous()
    plain = jensen_shannon(hidden, head_p, hidden, head_q)
    torch.testing.assert_close(jensen_shannon(strided, head_p, strided, head_q), plain)
    assert torch.equal(jensen_shannon(hidden, head_p, hidden, head_q), plain)


def test_nan_in_a_hidden_state_stays_in_its_row():
    hidden, head_p, head_q = close_models()
    bad = hidden.clone()
    bad[3, 0] = float("nan")
    found = jensen_shannon(bad, head_p, hidden, head_q)
    assert torch.isnan(found).nonzero().tolist() == [[3]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_p": torch.randn(2, 3)}, r"hidden_p .* got \(2, 3\) and \(517, 40\)"),
        ({"hidden_q": torch.randn(40)}, r"hidden_q .* got \(40,\) and \(517, 40\)"),
        ({"hidden_q": torch.randn(3, 40)}, "got 2 and 3"),
        ({"head_q": LMHead(torch.zeros(0, 40))}, "head of q: weight must be"),
        ({"head_q": LMHead(torch.zeros(5, 40), torch.zeros(3))}, r"\(5,\); got \(3,\)"),
        ({"vocab": 518}, r"\[1, 517\]; got 518"),
        ({"vocab": 0}, r"\[1, 517\]; got 0"),
    ],
)
def test_what_does_not_fit_is_said(change, message):
    hidden, head_p, head_q = close_models(n=2)
    fits = {"hidden_p": hidden, "head_p": head_p, "hidden_q": hidden, "head_q": head_q}
    with pytest.raises(ValueError, match=message):
        jensen_shannon(**fits | change)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 12),
    vocab=st.integers(1, 60),
    scale=st.floats(0.0, 30.0),
    far=st.floats(0.0, 3.0),
    seed=st.integers(0, 1000),
)
def test_any_shape_and_spread(n, vocab, scale, far, seed):
    hidden, head_p, head_q = close_models(n, 5, vocab, far, scale, seed=seed)
    found = jensen_shannon(hidden, head_p, hidden, head_q)
    assert ((found >= 0) & (found <= LN2)).all()
    expected = reference(hidden, head_p, hidden, head_q)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-6 * max(1.0, scale))


def test_memory_is_that_of_a_few_tiles():
    """8,192 tokens; the logits of the two models would take 512 MB."""
    hidden = torch.zeros(8192, 896, dtype=torch.bfloat16)
    head = LMHead(torch.zeros(8192, 896, dtype=torch.bfloat16))
    with torch.profiler.profile(profile_memory=True) as profile:
        jensen_shannon(hidden, head, hidden, head)
    live = peak = 0
    for event in sorted(profile.profiler.kineto_results.events(), key=lambda e: e.start_ns()):
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    assert 0 < peak < 64 << 20
