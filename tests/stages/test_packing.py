import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tamis.stages.packing import pack, pad


@given(st.lists(st.integers(1, 300), max_size=200), st.integers(1, 2000))
def test_every_sequence_once_within_the_budget(lengths, budget):
    batches = pack(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget


def test_longest_first_and_by_place_among_equals():
    assert pack([5, 9, 5], 100) == [[1, 0, 2]]
    assert pack([5, 9, 5], 10) == [[1], [0, 2]]


def test_batches_of_like_length():
    lengths = [512] * 4 + [40] * 100
    batches = pack(lengths, 100_000)
    assert [len(batch) for batch in batches] == [4, 100]


def test_padding_stands_at_the_end():
    padded = pad([[1, 2, 3], [4]], filler=9)
    assert padded.tolist() == [[1, 2, 3], [4, 9, 9]]
    assert padded.dtype == np.int64
