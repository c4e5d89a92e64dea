import pytest
import torch
from tamis.kernels.pooling import POOLINGS, pool

STATES = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])


def test_weighted_mean_by_hand():
    """Weights 1/6, 2/6, 3/6 of (1,0), (0,1), (1,1): (.666667, .833333), of unit norm."""
    found = pool(STATES, torch.tensor([3]), "weighted_mean")
    torch.testing.assert_close(found, torch.tensor([[0.624695, 0.780869]]), atol=1e-6, rtol=0)


def test_mean_and_last_by_hand():
    torch.testing.assert_close(
        pool(STATES, torch.tensor([2]), "mean"), torch.full((1, 2), 0.5**0.5)
    )
    assert pool(STATES, torch.tensor([2]), "last").tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_never_matters(pooling):
    hidden = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([5, 2, 1])
    padded = torch.cat([hidden, torch.full((3, 2, 4), float("nan"))], 1)
    for row, length in enumerate(lengths.tolist()):
        padded[row, length:] = float("nan")
        alone = pool(hidden[row : row + 1, :length], torch.tensor([length]), pooling)
        both = pool(padded, lengths, pooling)[row]
        torch.testing.assert_close(both, alone[0])
        assert both.norm().item() == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(
    ("lengths", "pooling", "message"),
    [
        (torch.tensor([4]), "mean", r"\[1, 3\]"),
        (torch.tensor([0]), "mean", r"\[1, 3\]"),
        (torch.tensor([1, 1]), "mean", r"\(1,\)"),
        (torch.tensor([1]), "max", "'max'; allowed: mean"),
    ],
)
def test_what_does_not_fit_is_said(lengths, pooling, message):
    with pytest.raises(ValueError, match=message):
        pool(STATES, lengths, pooling)
