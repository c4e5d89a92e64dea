import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tamis.kernels import logits
from tamis.kernels.logits import LMHead
from tamis.kernels.token_stats import IGNORED, STATS, token_stats

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def problem(n=33, d=40, vocab=517, dtype=torch.float32, scale=0.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, d, generator=generator).to(dtype)
    weight = (torch.randn(vocab, d, generator=generator) * scale).to(dtype)
    targets = torch.randint(vocab, (n,), generator=generator)
    return hidden, weight, targets


def reference(hidden, head, targets):
    """The same from whole logits in fp64."""
    z = hidden.double() @ head.weight.double().T
    if head.bias is not None:
        z = z + head.bias.double()
    z = z * head.scale
    if head.softcap is not None:
        z = torch.tanh(z / head.softcap) * head.softcap
    z = z / head.temperature
    logp = z.log_softmax(-1)
    target = z.gather(1, targets[:, None])
    return {
        "loss": -logp.gather(1, targets[:, None]).squeeze(1),
        "lse": z.logsumexp(-1),
        "entropy": -(logp.exp() * logp).sum(1),
        "rank": (z > target).sum(1),
        "top1": (z > target).sum(1) == 0,
        "max_prob": logp.exp().amax(1),
        "sum_p2": (2 * logp).exp().sum(1),
    }


def agree(found, expected, atol=5e-6):
    for name, values in found.items():
        if name in ("rank", "top1"):
            assert torch.equal(values.long(), expected[name].long()), name
        else:
            assert values.dtype == torch.float32
            torch.testing.assert_close(values.double(), expected[name], rtol=1e-5, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_statistics_match_whole_logits(dtype):
    hidden, weight, targets = problem(dtype=dtype)
    head = LMHead(weight)
    agree(token_stats(hidden, head, targets, STATS), reference(hidden, head, targets))


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
def test_many_tiles_of_rows_and_columns(dtype, monkeypatch):
    monkeypatch.setattr(logits, "TILE_ROWS", 16)
    monkeypatch.setattr(logits, "TILE_VOCAB", 100)
    monkeypatch.setattr(logits, "UPCAST_BYTES", 0)
    hidden, weight, targets = problem(n=50, vocab=1030, dtype=dtype)
    head = LMHead(weight)
    agree(token_stats(hidden, head, targets, STATS), reference(hidden, head, targets))


def test_bias_scale_softcap_and_temperature():
    hidden, weight, targets = problem(seed=1)
    bias = torch.randn(len(weight), generator=torch.Generator().manual_seed(2))
    for head in (
        LMHead(weight, bias),
        LMHead(weight, scale=0.0625),
        LMHead(weight, softcap=3.0),
        LMHead(weight, bias, scale=0.5, softcap=5.0, temperature=0.7),
    ):
        agree(token_stats(hidden, head, targets, STATS), reference(hidden, head, targets))


@pytest.mark.parametrize("stat", STATS)
def test_a_statistic_is_the_same_bits_alone_and_among_others(stat):
    hidden, weight, targets = problem(n=70, vocab=5000)
    alone = token_stats(hidden, LMHead(weight), targets, (stat,))
    among = token_stats(hidden, LMHead(weight), targets, STATS)
    assert list(alone) == [stat]
    assert torch.equal(alone[stat], among[stat])


def test_repeats_bitwise():
    hidden, weight, targets = problem(n=70, vocab=5000)
    first, second = (token_stats(hidden, LMHead(weight), targets, STATS) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in STATS)


def test_worked_example_by_hand():
    """p = (.7, .2, .1), target 0: squared EL2N is 1 - 1.4 + .54 = 0.14."""
    p = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    head = LMHead(p.log().float()[:, None])
    found = token_stats(torch.ones(1, 1), head, torch.tensor([0]), STATS)
    assert found["loss"].item() == pytest.approx(0.3566749, rel=1e-6)
    assert found["entropy"].item() == pytest.approx(0.8018186, rel=1e-6)
    assert found["max_prob"].item() == pytest.approx(0.7, rel=1e-6)
    assert found["sum_p2"].item() == pytest.approx(0.54, rel=1e-6)
    assert 1 - 2 * 0.7 + found["sum_p2"].item() == pytest.approx(0.14, abs=1e-6)
    assert found["rank"].item() == 0
    assert found["top1"].item()
    assert found["lse"].item() == pytest.approx(0.0, abs=1e-6)


def test_tiny_losses_keep_relative_accuracy():
    """lse - z_t would be 0 here."""
    for gap in (20.0, 44.0, 60.0):
        head = LMHead(torch.tensor([[gap], [0.0], [0.0]]))
        loss = token_stats(torch.ones(1, 1), head, torch.tensor([0]))["loss"].item()
        expected = 2 * torch.tensor(-gap).double().exp().item()
        assert loss == pytest.approx(expected, rel=1e-5, abs=0)


@pytest.mark.parametrize("level", [-300.0, 300.0])
def test_all_logits_far_from_zero(level):
    hidden, weight, targets = problem(n=5, d=8, vocab=50)
    head = LMHead(weight, bias=torch.full((50,), level))
    agree(token_stats(hidden, head, targets, STATS), reference(hidden, head, targets), atol=1e-3)


def test_one_huge_logit_never_gives_nan():
    weight = torch.zeros(9, 1)
    weight[4] = 1e4
    for target in (4, 0):
        found = token_stats(torch.ones(1, 1), LMHead(weight), torch.tensor([target]), STATS)
        assert all(torch.isfinite(values.float()).all() for values in found.values())
        assert found["loss"].item() == pytest.approx(0.0 if target == 4 else 1e4)


def test_ties_count_only_strictly_larger_logits():
    weight = torch.tensor([[1.0], [1.0], [0.5]])
    found = token_stats(torch.ones(3, 1), LMHead(weight), torch.tensor([0, 1, 2]), STATS)
    assert found["rank"].tolist() == [0, 0, 2]
    assert found["top1"].tolist() == [True, True, False]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 7, 33, 257, 513])
def test_twins_of_the_target_are_no_larger_than_it(n, dtype):
    """Each row of W is there twice, far apart; products are rounded."""
    hidden, weight, _ = problem(n=n, d=96, vocab=1500, dtype=dtype)
    twins = torch.cat([weight, weight])
    targets = (hidden.double() @ twins.double().T).argmax(1)
    targets[::2] = (targets[::2] + 1500) % 3000
    found = token_stats(hidden, LMHead(twins), targets, ("rank", "top1"))
    assert (found["rank"] == 0).all()
    assert found["top1"].all()


def test_a_softcap_does_not_hide_infinity():
    hidden, weight, targets = problem()
    head = LMHead(weight, softcap=30.0)
    whole = token_stats(hidden, head, targets, STATS)
    hidden[3, 0], hidden[4, 1] = float("inf"), float("nan")
    blank = (torch.arange(33) == 3) | (torch.arange(33) == 4)
    assert_blank(token_stats(hidden, head, targets, STATS), whole, blank)


def test_a_word_that_is_never_said():
    hidden, weight, targets = problem()
    targets %= 516
    for dtype in DTYPES:
        bias = torch.zeros(517, dtype=dtype)
        bias[516] = -float("inf")
        found = token_stats(hidden, LMHead(weight, bias), targets, STATS)
        agree(found, reference(hidden, LMHead(weight[:516]), targets))


def test_only_the_own_word_is_not_finite():
    hidden, weight, targets = problem()
    weight[targets[3]] = float("nan")
    found = token_stats(hidden, LMHead(weight), targets, STATS)
    assert torch.isnan(found["loss"][3])
    assert found["rank"][3] == -1


def test_what_torch_was_told_of_fp32_products_changes_nothing():
    hidden, weight, targets = problem(n=64, d=256, vocab=4000)
    expected = token_stats(hidden, LMHead(weight), targets)["loss"]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        found = token_stats(hidden, LMHead(weight), targets)["loss"]
    finally:
        torch.set_float32_matmul_precision(before)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_statistics_of_parameters_and_a_stream_of_names():
    hidden, weight, targets = problem(n=3)
    hidden, weight = hidden.requires_grad_(), weight.requires_grad_()
    found = token_stats(hidden, LMHead(weight), targets, (name for name in ("loss", "rank")))
    assert list(found) == ["loss", "rank"]
    assert not found["loss"].requires_grad


def test_last_column_one_token_and_one_word():
    hidden, weight, _ = problem(n=3, vocab=logits.TILE_VOCAB + 1)
    targets = torch.full((3,), logits.TILE_VOCAB)
    head = LMHead(weight)
    agree(token_stats(hidden, head, targets, STATS), reference(hidden, head, targets))
    agree(
        token_stats(hidden[:1], head, targets[:1], STATS), reference(hidden[:1], head, targets[:1])
    )
    only = token_stats(hidden, LMHead(weight[:1]), torch.zeros(3, dtype=torch.int64), STATS)
    assert only["loss"].tolist() == [0, 0, 0]
    assert only["max_prob"].tolist() == [1, 1, 1]


def test_no_tokens():
    hidden, weight, targets = problem()
    found = token_stats(hidden[:0], LMHead(weight), targets[:0], STATS)
    assert all(len(values) == 0 for values in found.values())


def test_not_contiguous_hidden_states():
    hidden, weight, targets = problem(n=40)
    strided = torch.stack([hidden, hidden], 1).reshape(80, -1)[::2]
    assert not strided.is_contiguous()
    head = LMHead(weight)
    agree(token_stats(strided, head, targets), reference(hidden, head, targets))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_row_that_is_not_finite_has_no_number_and_its_neighbours_have(value):
    hidden, weight, targets = problem()
    head = LMHead(weight)
    whole = token_stats(hidden, head, targets, STATS)
    hidden[3, 0] = value
    assert_blank(token_stats(hidden, head, targets, STATS), whole, torch.arange(33) == 3)


def test_a_word_that_is_not_finite_leaves_no_row_with_a_number():
    for value in (float("nan"), float("inf")):
        hidden, weight, targets = problem()
        weight[516, 0] = value
        found = token_stats(hidden, LMHead(weight), targets, ("loss", "rank"))
        up = hidden[:, 0] * value != -float("inf")  # the others just never say that word
        assert torch.isnan(found["loss"][up]).all()
        assert (found["rank"][up] == -1).all()


def assert_blank(found, whole, blank):
    """Rows that are `blank` have no number, the others those of `whole`."""
    for name, values in found.items():
        if values.is_floating_point():
            assert torch.isnan(values[blank]).all(), name
        else:
            assert set(values[blank].tolist()) == {False if name == "top1" else -1}
        torch.testing.assert_close(values[~blank], whole[name][~blank], rtol=1e-6, atol=1e-6)


def test_ignored_tokens_are_left_out():
    hidden, weight, targets = problem()
    whole = token_stats(hidden, LMHead(weight), targets, STATS)
    blank = torch.arange(33) % 3 == 1
    hidden[blank] = float("nan")  # not even read
    found = token_stats(hidden, LMHead(weight), targets.masked_fill(blank, IGNORED), STATS)
    assert_blank(found, whole, blank)
    nothing = token_stats(hidden, LMHead(weight), torch.full((33,), IGNORED), STATS)
    assert_blank(nothing, whole, torch.ones(33, dtype=torch.bool))


def test_padded_words_are_left_out_on_request():
    hidden, weight, targets = problem()
    targets %= 500
    bias = torch.randn(517, generator=torch.Generator().manual_seed(1))
    found = token_stats(hidden, LMHead(weight, bias, vocab=500), targets, STATS)
    agree(found, reference(hidden, LMHead(weight[:500], bias[:500]), targets))
    for vocab in (0, 518):
        with pytest.raises(ValueError, match=rf"\[1, 517\]; got {vocab}"):
            token_stats(hidden, LMHead(weight, vocab=vocab), targets)
    with pytest.raises(ValueError, match=r"\[0, 400\)"):
        token_stats(hidden, LMHead(weight, vocab=400), torch.full((33,), 400))


def test_fast_products_of_bf16_are_rounded_logits():
    hidden, weight, targets = problem(n=64, d=256, dtype=torch.bfloat16, scale=0.2)
    z = hidden @ weight.T
    found = token_stats(hidden, LMHead(weight), targets, STATS, precision="fast")
    expected = torch.nn.functional.cross_entropy(z.double(), targets, reduction="none")
    torch.testing.assert_close(found["loss"].double(), expected, rtol=1e-5, atol=1e-5)
    above = (z > z.gather(1, targets[:, None])).sum(1)
    assert torch.equal(found["rank"].long(), above)
    hidden, weight = hidden.float(), weight.float()
    pair = [token_stats(hidden, LMHead(weight), targets, precision=p) for p in ("exact", "fast")]
    assert torch.equal(pair[0]["loss"], pair[1]["loss"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"targets": torch.tensor([0, 517])},
            r"\[0, 517\), or be -100 to be ignored; got 0 to 517",
        ),
        ({"targets": torch.tensor([0, -1])}, "got -1 to 0"),
        ({"targets": torch.tensor([-5, IGNORED])}, "got -100 to -5"),
        ({"targets": torch.tensor([0])}, r"shape \(2,\)"),
        ({"targets": torch.tensor([0, 1], dtype=torch.int32)}, "int32"),
        ({"hidden": torch.randn(2, 3)}, r"\(2, 3\) and \(517, 40\)"),
        ({"stats": ("loss", "lost")}, "lost"),
        ({"bias": torch.zeros(3)}, r"\(517,\); got \(3,\)"),
        ({"hidden": torch.randn(2, 40).double()}, "must be fp32, bf16 or fp16; got torch.float64"),
        ({"backend": "tritom"}, "torch or triton .* got 'tritom'"),
        ({"precision": "fats"}, "exact or fast; got 'torch' and 'fats'"),
        ({"softcap": 0.0}, "softcap must not be 0"),
        ({"temperature": 0.0}, "temperature must be positive"),
    ],
)
def test_what_does_not_fit_is_said(change, message):
    hidden, weight, targets = problem(n=2)
    given = {"hidden": hidden, "targets": targets, "stats": ("loss",)} | change
    names = ("bias", "softcap", "temperature")
    head = LMHead(weight, **{name: given.pop(name) for name in names if name in given})
    with pytest.raises(ValueError, match=message):
        token_stats(given.pop("hidden"), head, given.pop("targets"), **given)


def test_bf16_products_are_exact_and_the_switch_is_put_back():
    hidden, weight, targets = problem(n=64, d=256, vocab=4000, dtype=torch.bfloat16, scale=0.2)
    before = torch.backends.mkldnn.matmul.fp32_precision
    found = token_stats(hidden, LMHead(weight), targets)["loss"]
    assert torch.backends.mkldnn.matmul.fp32_precision == before
    expected = reference(hidden, LMHead(weight), targets)["loss"]
    assert (found - expected).abs().max() < 1e-5  # bf16 logits would be off by 1e-2


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 12),
    vocab=st.integers(1, 60),
    scale=st.floats(0.0, 30.0),
    seed=st.integers(0, 1000),
)
def test_any_shape_and_spread(n, vocab, scale, seed):
    hidden, weight, targets = problem(n, 5, vocab, scale=scale, seed=seed)
    head = LMHead(weight)
    found = token_stats(hidden, head, targets, STATS)
    expected = reference(hidden, head, targets)
    tolerance = 4e-6 * max(1.0, float(expected["lse"].abs().max()), scale)
    torch.testing.assert_close(found["loss"].double(), expected["loss"], rtol=1e-4, atol=tolerance)
    assert (found["loss"] >= 0).all()
    assert (found["max_prob"] <= 1).all()
    assert torch.equal(found["top1"], found["rank"] == 0)


def peak_memory(n, vocab, d):
    """Largest sum of live allocations during a call, bytes."""
    hidden = torch.zeros(n, d, dtype=torch.bfloat16)
    weight = torch.zeros(vocab, d, dtype=torch.bfloat16)
    targets = torch.zeros(n, dtype=torch.int64)
    with torch.profiler.profile(profile_memory=True) as profile:
        token_stats(hidden, LMHead(weight), targets, STATS)
    live = peak = 0
    for event in sorted(profile.profiler.kineto_results.events(), key=lambda e: e.start_ns()):
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak


def test_memory_is_that_of_a_few_tiles():
    """8,192 tokens; the logits of this vocabulary alone would take 256 MB."""
    assert 0 < peak_memory(8192, 8192, 896) < 64 << 20


@pytest.mark.slow
def test_memory_does_not_grow_with_the_vocabulary():
    assert 0 < peak_memory(8192, 151_936, 896) < 64 << 20


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gpu_gives_the_same_numbers(dtype):
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    hidden, weight, targets = problem(n=700, vocab=5000, dtype=dtype)
    expected = reference(hidden, LMHead(weight), targets)
    found = token_stats(hidden.cuda(), LMHead(weight.cuda()), targets.cuda(), STATS)
    for name in ("loss", "lse", "entropy", "max_prob", "sum_p2"):
        torch.testing.assert_close(
            found[name].cpu().double(), expected[name], rtol=1e-4, atol=1e-4, msg=name
        )
    assert (found["rank"].cpu() == expected["rank"]).float().mean() > 0.99
