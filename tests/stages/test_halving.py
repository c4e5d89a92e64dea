import pytest
import torch
from tamis.errors import WorkerError
from tamis.stages.halving import is_out_of_memory, no_room, run_halving

LENGTHS = [5, 7, 3, 4, 9]


def runs_of(limit, batch, error=None):
    """What is run of a batch where only so many sequences fit, and how many times it is halved."""
    done, tried = [], []

    def run(some):
        tried.append(list(some))
        if len(some) > limit:
            raise error or MemoryError
        done.extend(some)

    return run_halving(batch, LENGTHS, run), done, tried


def test_first_half_first_down_to_what_fits():
    splits, done, tried = runs_of(2, [4, 0, 3, 1, 2])
    assert tried == [[4, 0, 3, 1, 2], [4, 0], [3, 1, 2], [3], [1, 2]]
    assert done == [4, 0, 3, 1, 2]
    assert splits == 2


def test_what_fits_is_not_halved():
    assert runs_of(5, [0, 1]) == (0, [0, 1], [[0, 1]])


def test_one_that_does_not_fit_says_how_long_it_is():
    with pytest.raises(WorkerError, match="a sequence of 9 tokens does not fit into memory"):
        runs_of(0, [4, 1])


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shape"):
        runs_of(0, [0], RuntimeError("bad shape"))


def test_what_counts_as_out_of_memory():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 TB"))
    assert not is_out_of_memory(RuntimeError("memory format"))


def test_no_room_says_what_to_set_and_lets_other_errors_through():
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")):
        with pytest.raises(WorkerError, match="set less"), no_room("set less"):
            raise error
    with pytest.raises(RuntimeError, match="broken"), no_room("set less"):
        raise RuntimeError("broken")
