import copy
import functools

import pytest
import torch
from tamis.stages.pretrained import pretrained
from tamis.stages.pruning.blocks import decoder_blocks, linear_layers, rows_of
from tamis.stages.pruning.replay import Replay
from tamis.stages.pruning.settings import Pruning
from tamis.stages.pruning.wanda import prune_wanda
from tamis.tests.stages.pruning.toy import FAMILIES, Toy
from tamis.tests.tiny import make_model

TOKENS = [
    [1.0, 0, 0, 0],
    [0, 2.0, 0, 0],
    [0, 0, 8.0, 0],
    [0, 0, 0, 3.0],
    [0.6, 0, 0, 0],
    [0.8, 0, 0, 0],
]
WEIGHT = [
    [4.0, 0.5, 1.0, -1.0],
    [3.0, -2.0, -1.0, -3.0],
    [-3.0, 1.0, 0.1, 2.0],
    [9.0, 4.0, 1.0, 2.0],
]


def pruned(lm, sequences, **how):
    prune_wanda(Replay(lm, lm.layers, sequences), Pruning("wanda", **how))
    return [block.lin.weight.tolist() for block in lm.layers]


def test_golden_one_layer():
    """Inputs of lengths 1, 2, 8 and 3: scores |W| ||X||, by hand

        4  1  8  3      3  4  8  9      3  2  .8  6      9  8  8  6

    so of each row two go: the second and fourth, first and second, second and third, and in the
    last the fourth and, of the equal eights, the first of them.
    """
    (found,) = pruned(Toy(TOKENS, [WEIGHT]), [[0, 1, 2, 3]], share=0.5)
    assert found == [[4, 0, 1, 0], [0, 0, -1, -3], [-3, 0, 0, 2], [9, 0, 1, 0]]


def test_lengths_add_up_over_tokens_and_rows():
    """0.6 and 0.8 in two rows are together 1."""
    sequences = [[4, 1, 3], [5, 2]]
    (found,) = pruned(Toy(TOKENS, [WEIGHT]), sequences, share=0.5)
    assert found == [[4, 0, 1, 0], [0, 0, -1, -3], [-3, 0, 0, 2], [9, 0, 1, 0]]


def test_golden_two_layers():
    """The second layer sees what the pruned first one gives.

    At inputs (1, 0) and (0, 1), both of length 1, the first keeps the 4 of (4, 3) and the 2 of
    (1, 2); so it gives (4, 0) and (0, 2), of lengths 4 and 2. In the second, (1, 1.5) then scores
    (4, 3), and (1, 2.1) scores (4, 4.2). The unpruned layer gives (4, 1) and (3, 2), of lengths 5
    and 2.24, with which (1, 2.1) would score (5, 4.7) and lose the other weight.
    """
    weights = [[[4.0, 3.0], [1.0, 2.0]], [[1.0, 1.5], [1.0, 2.1]]]
    first, second = pruned(Toy([[1.0, 0.0], [0.0, 1.0]], weights), [[0, 1]], share=0.5)
    assert first == [[4, 0], [0, 2]]
    assert second == [[1, 0], [0, pytest.approx(2.1)]]


def test_a_pattern_is_of_each_group_of_a_row():
    (found,) = pruned(Toy(TOKENS, [WEIGHT]), [[0, 1, 2, 3]], pattern="1:2")
    # scores in pairs: 4 1 | 8 3, 3 4 | 8 9, 3 2 | .8 6, 9 8 | 8 6
    assert found == [[4, 0, 1, 0], [0, -2, 0, -3], [-3, 0, 0, 2], [9, 0, 1, 0]]


def plain_wanda(lm, sequences, share):
    """Wanda without anything clever: for every block, the whole model as it is by then."""
    for block in decoder_blocks(lm)[1]:
        layers = linear_layers(block)
        seen = {name: [] for name in layers}

        def note(inputs, module, given):
            inputs.append(given[0].reshape(-1, given[0].shape[-1]))

        handles = [
            layer.register_forward_pre_hook(functools.partial(note, seen[name]))
            for name, layer in layers.items()
        ]
        for ids in sequences:
            lm(input_ids=torch.tensor([ids]), use_cache=False)
        for handle in handles:
            handle.remove()
        for name, layer in layers.items():
            weight, inputs = rows_of(layer), torch.cat(seen[name]).double()
            scores = weight.double().abs() * inputs.norm(dim=0)
            for row, score in zip(weight, scores, strict=True):
                row[score.argsort()[: int(len(row) * share)]] = 0


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_the_plain_procedure(family, tmp_path):
    lm = pretrained(str(make_model(tmp_path, family))).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    sequences = [torch.randint(4, 300, (n,), generator=generator).tolist() for n in (30, 7, 90)]
    plain = copy.deepcopy(lm)
    with torch.no_grad():
        plain_wanda(plain, sequences, 0.5)
    prune_wanda(Replay(lm, decoder_blocks(lm)[1], sequences), Pruning("wanda", share=0.5))
    zeros = 0
    for (name, found), expected in zip(
        lm.state_dict().items(), plain.state_dict().values(), strict=True
    ):
        # two scores may be the same to rounding, and then the other of them goes
        assert int((found != expected).sum()) <= 2, name
        zeros += int((found == 0).sum())
    assert zeros > 3_000
