"""The Triton operator against whole logits in fp64; interpreted where there is no GPU."""

import math

import numpy as np
import pytest
import torch
from tamis.kernels.backend import interpreting
from tamis.kernels.logits import LMHead
from tamis.kernels.token_stats import IGNORED, STATS, token_stats
from tamis.tests.kernels.test_token_stats import assert_blank, problem, reference

pytest.importorskip("triton")
from tamis.kernels import token_stats_triton as module
from tamis.kernels.tiles import choose_tile
from tamis.tests.kernels.test_token_stats_kernels import DEVICE, agree, matches, run

pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and not interpreting(), reason="neither a GPU nor the interpreter"
)


def test_bias_scale_softcap_and_temperature():
    hidden, weight, targets = problem(n=20, vocab=200, seed=1)
    bias = torch.randn(200, generator=torch.Generator().manual_seed(2))
    for head in (
        LMHead(weight, bias),
        LMHead(weight, scale=0.0625),
        LMHead(weight, bias, scale=-0.5),
        LMHead(weight, softcap=3.0),
        LMHead(weight, temperature=0.7),
        LMHead(weight, bias, scale=-0.5, softcap=5.0, temperature=0.7),
    ):
        matches(hidden, head, targets)


def test_a_softcap_far_beyond_its_range():
    weight = torch.tensor([[1e4], [-1e4], [0.0], [1e-3]])
    matches(torch.ones(4, 1), LMHead(weight, softcap=30.0), torch.arange(4))


def test_agrees_with_the_torch_operator():
    hidden, weight, targets = problem(n=20, vocab=300, dtype=torch.bfloat16)
    expected = token_stats(hidden, LMHead(weight), targets, STATS)
    found = run(hidden, LMHead(weight), targets)
    assert list(found) == list(expected)
    for name in STATS:
        assert found[name].dtype == expected[name].dtype
    agree(found, {name: values.double() for name, values in expected.items()})


def test_different_dtypes_and_a_half_precision_bias():
    hidden, weight, targets = problem(n=20, vocab=130)
    for head in (LMHead(weight.bfloat16()), LMHead(weight, torch.randn(130).half())):
        matches(hidden, head, targets)
    matches(hidden.half(), LMHead(weight.bfloat16()), targets)


@pytest.mark.parametrize("splits", [(1, 576), (3, 192)])
def test_repeats_bitwise(splits):
    hidden, weight, targets = problem(n=20)
    first, second = (run(hidden, LMHead(weight), targets, splits=splits) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in STATS)


@pytest.mark.parametrize("stat", STATS)
def test_a_statistic_alone_is_the_same_as_among_others(stat):
    hidden, weight, targets = problem(n=10, vocab=200)
    alone = run(hidden, LMHead(weight), targets, (stat,))
    among = run(hidden, LMHead(weight), targets)
    assert list(alone) == [stat]
    if interpreting():
        assert torch.equal(alone[stat], among[stat])
    torch.testing.assert_close(alone[stat], among[stat])


def test_tiny_losses_keep_relative_accuracy():
    """lse - z_t would be 0 here."""
    for gap in (20.0, 44.0, 60.0):
        weight = torch.tensor([[gap], [0.0], [0.0]])
        for splits in (None, (3, 64)):
            rows = weight if splits is None else weight.repeat(50, 1)[:129]
            rows[1:] = 0.0
            loss = run(torch.ones(1, 1), LMHead(rows), torch.tensor([0]), ("loss",), splits=splits)
            expected = (len(rows) - 1) * torch.tensor(-gap).double().exp().item()
            assert loss["loss"].item() == pytest.approx(expected, rel=1e-5, abs=0)


@pytest.mark.parametrize("level", [-300.0, 300.0])
def test_all_logits_far_from_zero(level):
    hidden, weight, targets = problem(n=5, d=8, vocab=200)
    matches(hidden, LMHead(weight, torch.full((200,), level)), targets, atol=1e-4)


def test_one_huge_logit_never_gives_nan():
    weight = torch.zeros(150, 1)
    weight[100] = 1e4
    for target in (100, 0):
        found = run(torch.ones(1, 1), LMHead(weight), torch.tensor([target]), splits=(3, 64))
        assert all(torch.isfinite(values.float()).all() for values in found.values())
        assert found["loss"].item() == pytest.approx(0.0 if target == 100 else 1e4)
        assert found["rank"].item() == (target == 0)


@pytest.mark.parametrize("spike", [30.0, 1000.0, 2e4])
def test_the_rounded_maximum_is_accounted_for(spike):
    """The kernel's exponents are relative to the maximum rounded in powers of 2."""
    weight = torch.zeros(150, 1)
    weight[100], weight[7] = spike, spike - 0.5
    found = run(torch.ones(1, 1), LMHead(weight), torch.tensor([3]), STATS, splits=(3, 64))
    p = torch.tensor([1.0, math.exp(-0.5)], dtype=torch.float64)
    p = p / p.sum()
    ulp = float(np.spacing(np.float32(spike * 1.4427)))
    assert found["max_prob"].item() == pytest.approx(p[0].item(), abs=1e-6 + ulp / 2)
    entropy = float(-(p * p.log()).sum())
    assert found["entropy"].item() == pytest.approx(entropy, abs=1e-6 + ulp / 2)
    assert found["loss"].item() == pytest.approx(spike + math.log(1 + math.exp(-0.5)), rel=2e-7)


def test_ties_count_only_strictly_larger_logits():
    weight = torch.zeros(140, 2)
    weight[[0, 70, 139], 0] = 1.0  # the same row in three tiles
    weight[1, 0] = 0.5
    targets = torch.tensor([0, 70, 139, 1, 2])
    found = run(torch.ones(5, 2), LMHead(weight), targets, splits=(3, 64))
    assert found["rank"].tolist() == [0, 0, 0, 3, 4]
    assert found["top1"].tolist() == [True, True, True, False, False]


def test_duplicated_rows_of_the_head():
    """A target's twins in other tiles are no larger than it; all products here are exact."""
    hidden, weight, _ = problem(n=40, d=72, vocab=64)
    hidden, twins = (4 * hidden).round() / 4, (4 * weight).round().repeat(5, 1)[:300] / 4
    targets = (hidden @ twins[:64].T).argmax(1) + 64 * (torch.arange(40) % 4)
    matches(hidden, LMHead(twins), targets)
    found = run(hidden, LMHead(twins), targets, ("rank", "top1"))
    assert found["top1"].all()
    assert (found["rank"] == 0).all()


@pytest.mark.parametrize("gap", [5.0, 17.3, 33.3, 90.7])
def test_bounds_hold_in_the_last_bit(gap):
    """One word takes nearly everything: rounding must not push a probability beyond 1."""
    hidden, weight, targets = problem(n=40, d=4, vocab=130)
    bias = torch.zeros(130)
    bias[100] = gap
    for temperature in (1.0, 0.7):
        found = run(hidden, LMHead(weight, bias, temperature=temperature), targets)
        assert (found["max_prob"] <= 1).all()
        assert (found["entropy"] >= 0).all()
        assert (found["loss"] >= 0).all()
        assert torch.equal(found["top1"], found["rank"] == 0)


def test_no_tokens():
    hidden, weight, targets = problem()
    found = run(hidden[:0], LMHead(weight), targets[:0])
    assert list(found) == list(STATS)
    assert all(len(values) == 0 for values in found.values())


def test_not_contiguous():
    hidden, weight, targets = problem(n=20, d=32, vocab=130)
    strided = torch.stack([hidden, hidden], 1).reshape(40, -1)[::2]
    assert not strided.is_contiguous()
    matches(strided, LMHead(weight.T.contiguous().T), targets)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numpy, which interprets
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_row_that_is_not_finite_has_no_number_and_its_neighbours_have(value):
    hidden, weight, targets = problem(n=20, vocab=200)
    whole = run(hidden, LMHead(weight), targets)
    hidden[3, 0] = value
    assert_blank(run(hidden, LMHead(weight), targets), whole, torch.arange(20) == 3)


def test_ignored_tokens_and_padded_words_are_left_out():
    hidden, weight, targets = problem(n=20, vocab=200)
    targets %= 150
    blank = torch.arange(20) % 3 == 1
    head = LMHead(weight, vocab=150)
    whole = token_stats(hidden, LMHead(weight[:150]), targets, STATS)
    found = run(hidden, head, targets.masked_fill(blank, IGNORED))
    assert_blank(found, whole, blank)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_softcap_does_not_hide_infinity():
    hidden, weight, targets = problem(n=20, vocab=200)
    head = LMHead(weight, softcap=30.0)
    whole = run(hidden, head, targets)
    hidden[3, 0] = float("inf")
    assert_blank(run(hidden, head, targets), whole, torch.arange(20) == 3)


def test_a_word_that_is_never_said():
    hidden, weight, targets = problem(n=20, vocab=200)
    targets %= 199
    bias = torch.zeros(200)
    bias[199] = -float("inf")
    found = run(hidden, LMHead(weight, bias), targets)
    agree(found, reference(hidden, LMHead(weight[:199]), targets))


def test_fast_products_of_fp32_are_tf32():
    hidden, weight, targets = problem(n=20, vocab=200)
    found = token_stats(
        hidden.to(DEVICE), LMHead(weight.to(DEVICE)), targets.to(DEVICE), STATS, "triton", "fast"
    )
    expected = token_stats(hidden, LMHead(weight), targets, STATS)
    torch.testing.assert_close(found["loss"].cpu(), expected["loss"], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"targets": torch.tensor([0, 517])},
            r"\[0, 517\), or be -100 to be ignored; got 0 to 517",
        ),
        ({"hidden": torch.randn(2, 3)}, r"\(2, 3\) and \(517, 40\)"),
        ({"stats": ("loss", "lost")}, "lost"),
        ({"hidden": torch.randn(2, 40).double()}, "float64"),
    ],
)
def test_what_does_not_fit_is_said(change, message):
    hidden, weight, targets = problem(n=2)
    given = {"hidden": hidden, "targets": targets, "stats": ("loss",)} | change
    with pytest.raises(ValueError, match=message):
        run(given["hidden"], LMHead(weight), given["targets"], given["stats"])


def test_a_cpu_without_the_interpreter_is_refused(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    hidden, weight, targets = problem(n=2)
    with pytest.raises(ValueError, match="TRITON_INTERPRET"):
        module.token_stats_triton(hidden, LMHead(weight), targets)


@pytest.mark.parametrize("dim", [768, 4096])
def test_tiles_of_the_table_on_a_small_problem(dim):
    hidden, weight, targets = problem(n=130, d=64, vocab=300)
    matches(hidden, LMHead(weight), targets, tile=choose_tile(dim, 2, 90, True))


def test_a_temperature_must_be_positive():
    hidden, weight, targets = problem(n=2)
    for value in (0.0, -1.0):
        with pytest.raises(ValueError, match="temperature"):
            run(hidden, LMHead(weight, temperature=value), targets)


def test_cases_of_every_architecture():
    """What the gate compiles is what a launch passes."""
    for capability in (80, 86, 90, 100, 120):
        cases = module.compile_cases(capability)
        assert {case.kernel for case in cases} == {module.scan_kernel, module.target_kernel}
        for case in cases:
            assert {*case.signature, *case.constexprs} == {*case.kernel.arg_names}
