import pytest
import torch
from tamis.errors import ConfigError
from tamis.stages.pretrained import pretrained
from tamis.stages.pruning.blocks import decoder_blocks
from tamis.stages.pruning.removal import (
    check_layers,
    influences_of,
    last_layers,
    least_influence,
    remove_layers,
)
from tamis.stages.pruning.replay import Replay
from tamis.tests.stages.pruning.toy import FAMILIES, Toy
from tamis.tests.tiny import make_model

IDS = torch.tensor([[7, 8, 9, 10, 11]])


def test_the_last_before_the_final_one():
    assert last_layers(12, 3) == [8, 9, 10]
    assert last_layers(2, 1) == [0]


def test_those_of_least_influence():
    assert least_influence([0.3, 0.1, 0.2, 0.1], 1) == [1]
    assert least_influence([0.3, 0.1, 0.2, 0.1], 3) == [1, 2, 3]


def test_golden_influences():
    """1 - mean cosine, by hand.

    A quarter turn takes (1, 0) to (0, 1): cosine 0. Twice the vector: cosine 1. Then (0, 2) and
    (-2, 0) become (0, 2) and (-2, 2): cosines 1 and 1 / sqrt 2.
    """
    turn, twice, shear = [[0.0, -1], [1, 0]], [[2.0, 0], [0, 2]], [[1.0, 0], [-1, 1]]
    lm = Toy([[1.0, 0.0], [0.0, 1.0]], [turn, twice, shear])
    found = influences_of(Replay(lm, lm.layers, [[0], [1]]))
    assert found == pytest.approx([1.0, 0.0, (1 - 0.5**0.5) / 2])


def test_more_layers_than_there_are():
    check_layers(4, 3)
    with pytest.raises(ConfigError, match="layers is 4, but the model has 4, of which one must"):
        check_layers(4, 4)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_left_is_the_model_with_those_layers_skipped(family, tmp_path):
    shape = {"num_hidden_layers": 4} | ({"n_layer": 4} if family == "gpt2" else {})
    folder = str(make_model(tmp_path, family, **shape))
    short, whole = (pretrained(folder).eval() for _ in range(2))
    skipped = decoder_blocks(whole)[1]
    for number in (1, 2):
        skipped[number].register_forward_hook(
            lambda _, given, named, out: _like(out, given[0] if given else named["hidden_states"]),
            with_kwargs=True,
        )
    remove_layers(short, [1, 2])
    assert len(decoder_blocks(short)[1]) == short.config.num_hidden_layers == 2
    with torch.inference_mode():
        found, expected = (lm(input_ids=IDS, use_cache=False).logits for lm in (short, whole))
    torch.testing.assert_close(found, expected)


def _like(out, states):
    """What a block gives if it leaves the states as they are."""
    return states if isinstance(out, torch.Tensor) else (states, *out[1:])


def test_what_a_config_says_of_each_layer_is_shortened(tmp_path):
    lm = pretrained(str(make_model(tmp_path, "gemma2", num_hidden_layers=4)))
    before = list(lm.config.layer_types)
    assert len(set(before)) == 2  # they take turns
    remove_layers(lm, [2])
    assert lm.config.layer_types == [before[0], before[1], before[3]]
