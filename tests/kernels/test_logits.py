import itertools

import pytest
import torch
from tamis.kernels import logits
from tamis.kernels.logits import (
    LMHead,
    exact_products,
    logits_tile,
    multiplied,
    row_blocks,
    shape_logits,
)
from tamis.tests.kernels.test_token_stats import problem


def test_scale_softcap_and_temperature_by_hand():
    head = LMHead(torch.ones(1, 1), scale=2.0, softcap=4.0, temperature=0.5)
    found = shape_logits(torch.tensor([[1.0, -3.0]]), head)
    expected = 8 * torch.tanh(torch.tensor([[0.5, -1.5]]))
    torch.testing.assert_close(found, expected)


def test_a_tile_is_written_into_the_buffer_with_its_own_biases():
    hidden, weight, _ = problem(n=4, vocab=30)
    bias = torch.arange(30.0)
    buffer = torch.empty(100)
    tile = logits_tile(hidden, weight[10:20], LMHead(weight, bias), slice(10, 20), buffer)
    assert tile.data_ptr() == buffer.data_ptr()
    torch.testing.assert_close(tile, (hidden @ weight.T + bias)[:, 10:20])


def test_words_of_a_head():
    weight, bias = torch.randn(9, 2), torch.randn(9)
    head = LMHead(weight, bias, scale=3.0, vocab=7)
    some = head.words(2, 5)
    assert torch.equal(some.weight, weight[2:5])
    assert torch.equal(some.bias, bias[2:5])
    assert (some.scale, some.vocab) == (3.0, None)
    assert len(head.checked().weight) == len(head.checked().bias) == 7
    assert LMHead(weight).checked().weight is weight
    never = LMHead(weight, torch.full((9,), -float("inf"), dtype=torch.float16)).checked()
    assert torch.isfinite(never.bias).all()


def test_only_bf16_with_bf16_is_multiplied_rounded_and_only_on_request():
    dtypes = (torch.float32, torch.float16, torch.bfloat16)
    for dtype, other in itertools.product(dtypes, dtypes):
        weight, hidden = torch.ones(2, 2, dtype=dtype), torch.ones(2, 2, dtype=other)
        assert multiplied(weight, hidden, "exact").dtype == torch.float32
        rounded = multiplied(weight, hidden, "fast").dtype == torch.bfloat16
        assert rounded == (dtype == other == torch.bfloat16)


def test_the_last_block_of_tokens_is_filled_with_zeros(monkeypatch):
    monkeypatch.setattr(logits, "TILE_ROWS", 40)
    hidden = torch.randn(43, 2)
    (first, whole), (last, filled) = row_blocks(hidden)
    assert (first, last) == (slice(0, 40), slice(40, 43))
    assert torch.equal(whole, hidden[:40])
    assert filled.shape == (32, 2)
    assert torch.equal(filled[:3], hidden[40:])
    assert not filled[3:].any()
    assert row_blocks(hidden[:0]) == []


def test_the_switch_is_put_back_after_an_error():
    hidden, weight, _ = problem(dtype=torch.bfloat16)
    before = torch.backends.mkldnn.matmul.fp32_precision
    with pytest.raises(KeyError), exact_products(hidden, LMHead(weight)):
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
        raise KeyError
    assert torch.backends.mkldnn.matmul.fp32_precision == before
