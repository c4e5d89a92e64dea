import pytest
import torch
from tamis.errors import ModelError
from tamis.stages.pruning.replay import Replay
from tamis.tests.stages.pruning.toy import Toy

VECTORS = [[3.0, 0.0], [4.0, 1.0], [0.0, 2.0]]
WEIGHTS = [[[1.0, 2.0], [0.0, 1.0]], [[2.0, 0.0], [1.0, 1.0]]]


def test_states_move_on_block_by_block():
    done = []
    lm = Toy(VECTORS, WEIGHTS)
    replay = Replay(lm, lm.layers, [[0, 1], [2]], lambda *some: done.append(some))
    assert [s.tolist() for s in replay.states] == [[[[3, 0], [4, 1]]], [[[0, 2]]]]
    replay.advance()
    assert [s.tolist() for s in replay.states] == [[[[3, 0], [6, 1]]], [[[4, 2]]]]
    replay.advance()
    assert [s.tolist() for s in replay.states] == [[[[6, 3], [12, 7]]], [[[8, 6]]]]
    assert done == [(1, 2), (1, 1)] * 2
    replay.check()


def test_lengths_of_inputs():
    """Over all tokens of all rows: 3 and 4 are 5, 1 and 2 the root of 5."""
    lm = Toy(VECTORS, WEIGHTS)
    replay = Replay(lm, lm.layers, [[0, 1], [2]])
    norms = replay.input_norms({"lin": lm.layers[0].lin})
    torch.testing.assert_close(norms["lin"], torch.tensor([5.0, 5.0**0.5]))
    assert norms["lin"].dtype == torch.float32
    assert replay.at == 0


def test_what_a_block_is_called_with_beside_its_states_is_kept():
    lm = Toy(VECTORS, WEIGHTS, scale=3.0)
    replay = Replay(lm, lm.layers, [[0]])
    replay.advance()
    assert replay.states[0].tolist() == [[[9, 0]]]


def test_no_hooks_are_left():
    lm = Toy(VECTORS, WEIGHTS)
    replay = Replay(lm, lm.layers, [[0]])
    replay.input_norms({"lin": lm.layers[0].lin})
    replay.advance()
    replay.advance()
    replay.check()
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in lm.modules())


def test_a_layer_that_no_token_reaches():
    lm = Toy(VECTORS, WEIGHTS)
    replay = Replay(lm, lm.layers, [[0]])
    with pytest.raises(ModelError, match=r"layer 0\.other is reached by no token"):
        replay.input_norms({"other": lm.layers[1].lin})


def test_inputs_that_are_not_finite():
    lm = Toy([[float("inf"), 0.0]], WEIGHTS)
    with pytest.raises(ModelError, match=r"layer 0\.lin gets inputs that are not finite"):
        Replay(lm, lm.layers, [[0]]).input_norms({"lin": lm.layers[0].lin})


def test_a_family_whose_blocks_hand_on_more_than_states_is_refused():
    class Aside(Toy):
        """Its second block is called with what the first one made of the states."""

        def forward(self, input_ids, use_cache):
            states = self.vectors[input_ids]
            (first,) = self.layers[0](states)
            return self.layers[1](states, scale=first.sum())

    lm = Aside(VECTORS, WEIGHTS)
    replay = Replay(lm, lm.layers, [[0, 1]])
    replay.advance()
    replay.advance()
    with pytest.raises(ModelError, match="cannot be pruned with calibration rows"):
        replay.check()
