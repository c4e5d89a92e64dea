import numpy as np
import pytest
import torch
from tamis.stages.crew import ALONE, Crew


def test_rows_are_dealt_in_order_of_length():
    lengths = [9, 2, 7, 4, 9]  # shortest first: rows 1, 3, 2, 0, 4
    assert [Crew(rank, 2).share(lengths).tolist() for rank in (0, 1)] == [[1, 2, 4], [0, 3]]
    assert ALONE.share(lengths).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_every_row_has_one_worker_and_tokens_are_balanced(size):
    lengths = np.random.default_rng(0).integers(1, 100, 64).tolist()
    shares = [Crew(rank, size).share(lengths) for rank in range(size)]
    assert sorted(np.concatenate(shares).tolist()) == list(range(64))
    tokens = [sum(lengths[i] for i in share) for share in shares]
    assert max(tokens) - min(tokens) <= 100 + 100 * (64 % size > 0)


def test_fewer_rows_than_workers():
    assert [len(Crew(rank, 3).share([5])) for rank in range(3)] == [1, 0, 0]
    assert len(Crew(1, 3).share([])) == 0


def test_sums_by_hand():
    """Three workers with the same numbers, as far as this one can tell."""
    one, none = (torch.nn.Parameter(torch.zeros(2, 2)) for _ in range(2))
    one.grad = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).T  # not contiguous
    crew = Crew(1, 3, lambda tensor: tensor.view(-1).mul_(3))
    assert crew.add_up([one, none], 0.1) == 0.1 * 3
    assert one.grad.tolist() == [[3.0, 9.0], [6.0, 12.0]]
    assert none.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_alone_nothing_is_touched():
    parameter = torch.nn.Parameter(torch.zeros(2))
    assert ALONE.add_up([parameter], 0.1) == 0.1
    assert parameter.grad is None
