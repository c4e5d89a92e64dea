import numpy as np
import pytest
import torch
from tamis.benchmarks.recovery import (
    Adapter,
    Recipe,
    conversations,
    drawn,
    lengths_of,
    losses,
    tune,
    zero_share,
)
from tamis.stages.pruning.prune import prune
from tamis.stages.pruning.settings import Pruning
from tamis.tests.tiny import alpaca, write_jsonl
from transformers.pytorch_utils import Conv1D


@pytest.mark.parametrize("kind", ["linear", "conv1d"])
def test_what_a_weight_becomes(kind):
    weight = torch.tensor([[1.0, 0.0, 2.0], [0.0, -1.0, 3.0]])  # (outputs, inputs)
    layer = torch.nn.Linear(3, 2) if kind == "linear" else Conv1D(2, 3)
    own = weight if kind == "linear" else weight.T.contiguous()
    layer.weight.data = own
    adapter = Adapter(layer, 1, torch.Generator().manual_seed(0))
    assert torch.equal(adapter(own), own)  # B begins at zero
    adapter.a.data = torch.tensor([[1.0, 2.0, 3.0]])
    adapter.b.data = torch.tensor([[0.5], [1.0]])
    # W + 2 B A = [[1+1, -, 2+3], [-, -1+4, 3+6]]
    expected = torch.tensor([[2.0, 0.0, 5.0], [0.0, 3.0, 9.0]])
    found = adapter(own)
    assert torch.equal(found if kind == "linear" else found.T, expected)


def test_rows_up_to_so_many_tokens():
    lengths = [3, 4, 5, 6]
    once = drawn(lengths, None, 1)
    assert sorted(once) == [0, 1, 2, 3]
    again = drawn(lengths, 25, 1)
    assert again[:4] == once  # 18 tokens; then another order, until one goes over
    assert 25 - 6 < sum(lengths[i] for i in again) <= 25
    assert drawn(lengths, 25, 2) != again


@pytest.mark.slow
def test_zeros_stay_and_losses_fall(gpt2, tmp_path):
    prune(str(gpt2), None, tmp_path / "half", Pruning("magnitude", share=0.5))
    write_jsonl(tmp_path / "rows.jsonl", alpaca(24))
    rows, model = conversations(tmp_path / "rows.jsonl"), str(tmp_path / "half")
    tokens, answers = lengths_of(model, "none", rows)
    before = losses(model, "none", rows)
    assert before[1].sum() == answers < tokens
    found = tune(model, "none", rows, None, Recipe(3e-2, 4, 8, 0), tmp_path / "tuned")
    assert (found["rows"], found["steps"], found["tokens"]) == (24, 3, tokens)
    order = drawn([1] * 24, None, 0)[:8]  # the first step sees the model as it was
    assert found["training_losses"][0] == pytest.approx(
        before[0, order].sum() / before[1, order].sum(), rel=5e-3
    )
    after = losses(str(tmp_path / "tuned"), "none", rows)
    assert after[0].sum() < 0.99 * before[0].sum()
    assert zero_share(str(tmp_path / "tuned")) == zero_share(model) == pytest.approx(0.5, abs=0.01)
    again = tune(model, "none", rows, None, Recipe(3e-2, 4, 8, 0), tmp_path / "again")
    assert again == found
    assert np.array_equal(losses(str(tmp_path / "again"), "none", rows), after)
