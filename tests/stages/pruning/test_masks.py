import pytest
import torch
from tamis.stages.pruning.masks import smallest_of_groups, smallest_of_layer, smallest_of_rows

SCORES = torch.tensor([[4.0, 0.0, 8.0, 3.0], [3.0, 4.0, 8.0, 9.0], [3.0, 2.0, 0.0, 6.0]])


def zeros(mask):
    return [row.nonzero().flatten().tolist() for row in mask]


def test_of_each_row():
    assert zeros(smallest_of_rows(SCORES, 0.5)) == [[1, 3], [0, 1], [1, 2]]
    assert zeros(smallest_of_rows(SCORES, 0.25)) == [[1], [0], [2]]
    assert zeros(smallest_of_rows(SCORES, 0.74)) == [[1, 3], [0, 1], [1, 2]]  # rounded down


def test_of_the_whole_layer():
    """The six smallest are 0, 0, 2 and the threes in order."""
    assert zeros(smallest_of_layer(SCORES, 0.5)) == [[1, 3], [0], [0, 1, 2]]


def test_of_equal_scores_the_first_goes():
    """The third of three threes stays."""
    assert zeros(smallest_of_layer(SCORES, 5 / 12)) == [[1, 3], [0], [1, 2]]
    assert zeros(smallest_of_rows(torch.ones(2, 4), 0.5)) == [[0, 1], [0, 1]]
    assert zeros(smallest_of_groups(torch.ones(1, 8), 2, 4)) == [[0, 1, 4, 5]]


def test_of_each_group():
    eight = torch.tensor([[1.0, 2.0, 3.0, 4.0, 40.0, 30.0, 20.0, 10.0]])
    assert zeros(smallest_of_groups(eight, 2, 4)) == [[0, 1, 6, 7]]
    assert zeros(smallest_of_groups(eight, 3, 4)) == [[0, 7]]
    assert zeros(smallest_of_groups(SCORES, 1, 2)) == [[1, 3], [0, 2], [1, 2]]


@pytest.mark.parametrize("share", [0.1, 0.29, 0.5, 0.7])
def test_the_number_is_exact_whatever_binary_fractions_say(share):
    scores = torch.rand(7, 100, generator=torch.Generator().manual_seed(0))
    assert smallest_of_rows(scores, share).sum(1).tolist() == [round(100 * share)] * 7
    assert int(smallest_of_layer(scores, share).sum()) == round(700 * share)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.33, 0.5, 0.9, 0.99])
def test_a_layer_is_chosen_from_as_by_its_whole_order(share):
    """Also among many equal scores, which rounding to bf16 makes."""
    for seed in range(20):
        scores = torch.randint(0, 5, (7, 11), generator=torch.Generator().manual_seed(seed)).float()
        expected = smallest_of_rows(scores.reshape(1, -1), share).reshape(7, 11)
        assert torch.equal(smallest_of_layer(scores, share), expected)


def test_a_layer_has_no_place_of_each_weight(monkeypatch):
    """A stable order of a layer takes 8 bytes per weight, and five times as long."""
    monkeypatch.setattr(torch.Tensor, "argsort", None)
    assert int(smallest_of_layer(SCORES, 0.5).sum()) == 6
