import pytest
import torch
from tamis.errors import ModelError
from tamis.stages.pruning.magnitude import prune_magnitude
from tamis.stages.pruning.settings import Pruning
from tamis.tests.stages.pruning.toy import Toy
from torch import nn

WEIGHT = [[4.0, 0.1, 1.0, -1.5], [3.0, -2.0, -0.5, -3.5], [-2.5, 0.2, 0.3, 2.2]]


def pruned(**how):
    blocks = Toy([[0.0]], [WEIGHT]).layers
    prune_magnitude(blocks, Pruning("magnitude", **how))
    return blocks[0].lin.weight.tolist()


def test_a_share_is_of_the_whole_layer():
    """Of twelve the six smallest are .1, .2, .3, .5, 1 and 1.5."""
    expected = [[4.0, 0.0, 0.0, 0.0], [3.0, -2.0, 0.0, -3.5], [-2.5, 0.0, 0.0, 2.2]]
    assert pruned(share=0.5) == [[pytest.approx(x) for x in row] for row in expected]


def test_a_pattern_is_of_each_group_of_a_row():
    expected = [[4.0, 0.0, 0.0, -1.5], [3.0, 0.0, 0.0, -3.5], [-2.5, 0.0, 0.0, 2.2]]
    assert pruned(pattern="2:4") == [[pytest.approx(x) for x in row] for row in expected]
    expected = [[4.0, 0.0, 0.0, -1.5], [3.0, 0.0, 0.0, -3.5], [-2.5, 0.0, 0.0, 2.2]]
    assert pruned(pattern="1:2") == [[pytest.approx(x) for x in row] for row in expected]


def test_conv1d_is_pruned_along_its_inputs():
    from transformers.pytorch_utils import Conv1D

    layer = Conv1D(3, 4)
    layer.weight.data = torch.tensor(WEIGHT).T.contiguous()
    prune_magnitude([nn.ModuleList([layer])], Pruning("magnitude", pattern="2:4"))
    assert layer.weight.T.tolist() == pruned(pattern="2:4")


def test_a_pattern_that_does_not_fit_names_the_layer():
    message = r"layer 0\.lin has 4 inputs, no multiple of 3 as pattern 2:3 needs; .* must divide 4$"
    with pytest.raises(ModelError, match=message):
        pruned(pattern="2:3")


def test_nothing_is_pruned_before_all_layers_fit():
    blocks = [nn.ModuleList([nn.Linear(12, 3)]), nn.ModuleList([nn.Linear(8, 3)])]
    with pytest.raises(ModelError, match=r"layer 1\.0 has 8 inputs, .* M of N:M must divide 4"):
        prune_magnitude(blocks, Pruning("magnitude", pattern="1:3"))
    assert (blocks[0][0].weight != 0).all()
